"""Starts the two kinds of programs that a keeper starts: the template and spawned executors."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from pythonpool.descriptors import as_before
from pythonpool_worker.keeper.cgroup import cpu_quota

# One thread each: several executors share the cores, and a pool of threads made at import would
# make the template unfit to be forked.
_THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def launch(module: str, arguments: Sequence[str], inherited: Sequence[int], output: int) -> int:
    """Start `python -m MODULE ARGUMENTS` in a process group of its own; returns the pid.

    Args:
        module: the program.
        arguments: its command line.
        inherited: descriptors that keep their numbers in the new process.
        output: the new process's stdout and stderr; stdin is empty.

    Raises:
        OSError: the system has no room for another process.
    """
    # -P: a file of the user's working directory must not stand in for the standard library.
    command = [sys.executable, "-P", "-m", module, *arguments]
    with ExitStack() as stack:
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
            stack.callback(os.set_inheritable, descriptor, False)
        stack.enter_context(as_before())
        return os.posix_spawn(
            sys.executable,
            command,
            environment(os.environ, cpu_quota()),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setpgroup=0,
            setsigmask=[],
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD],
        )


def environment(own: Mapping[str, str], cores: int | None) -> dict[str, str]:
    """The keeper's environment, with one thread for each numeric library unless it says more.

    JAX sees the machine's cores and not the container's limit, except by NPROC.
    """
    limit = {} if cores is None else {"NPROC": str(cores)}
    return dict.fromkeys(_THREAD_COUNTS, "1") | limit | dict(own)
