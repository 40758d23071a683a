"""From a fresh child process to an executor: the set-up, then the adapter's own loop.

Both ways of making an executor end here: forked from the template, or spawned.
"""

import faulthandler
import io
import os
import resource
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from typing import cast

from pythonpool.adapter import Adapter
from pythonpool_worker import linux
from pythonpool_worker.executor import ExecutorSettings, run_executor
from pythonpool_worker.template.worker import Worker

_NICER = 5
_OOM_SCORE_UP = 500
# The middle process ends within a millisecond; a keeper that is gone never becomes the parent.
_ADOPTION_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ends:
    """The descriptors that the keeper hands to an executor.

    Attributes:
        channel: the stream socket that the agent will hold the other end of.
        output: stdout and stderr.
        label: the memfd with the running call's id.
        stack: where `faulthandler` writes just before a kill.
    """

    channel: int
    output: int
    label: int
    stack: int


def await_adoption(keeper: int) -> None:
    """Return when this process is the keeper's child; end it when that can not be any more."""
    give_up = time.monotonic() + _ADOPTION_SECONDS
    while os.getppid() != keeper:
        if time.monotonic() > give_up:
            os._exit(1)
        os.sched_yield()


def become_executor(worker: Worker, adapter: Adapter, ends: Ends, keeper: int) -> None:
    """Set this process up, run the executor's loop and end the process. Never returns."""
    status = 1
    try:
        _set_up(worker, ends, keeper)
        channel = socket.socket(fileno=ends.channel)
        settings = ExecutorSettings.from_worker_json(worker.said, ends.label)
        status = run_executor(adapter, channel, settings)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here, and the log says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status & 0xFF)


def _set_up(worker: Worker, ends: Ends, keeper: int) -> None:
    linux.become_subreaper()
    os.setpgid(0, 0)
    if worker.one_machine:
        _die_with(keeper)
    _set_up_output(ends)
    _limit(worker)
    _reset_signals()
    faulthandler.enable(file=2)
    faulthandler.register(linux.STACK_SIGNAL, file=ends.stack, all_threads=True, chain=False)
    # numpy's global generator is a copy of the template's: every executor would draw the same.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _die_with(keeper: int) -> None:
    linux.die_with_parent()
    if os.getppid() != keeper:
        os._exit(1)  # it died in between, so that no signal will come


def _set_up_output(ends: Ends) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(ends.output, 1)
    os.dup2(ends.output, 2)
    os.close(nothing)
    os.close(ends.output)
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(line_buffering=True, errors="backslashreplace")


def _limit(worker: Worker) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if worker.executor_memory_bytes:
        limit = worker.executor_memory_bytes
        # DATA, never AS: JAX and OpenBLAS reserve address space that they never touch.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with open("/proc/self/oom_score_adj", "r+") as file:
        score = min(1000, int(file.read()) + _OOM_SCORE_UP)
        file.seek(0)
        file.write(str(score))
    os.nice(_NICER)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)) and number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
