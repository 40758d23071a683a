"""Start and end of an executor."""

import json
import logging
import os
import socket

from pythonpool.adapter import Adapter
from pythonpool.messages import U32, Kind, frame
from pythonpool_worker.executor.calls import Calls
from pythonpool_worker.executor.channel import Channel, ChannelClosedError, Limits
from pythonpool_worker.executor.settings import ExecutorSettings
from pythonpool_worker.executor.threads import serve_in_threads

_LOG = logging.getLogger("pythonpool.executor")


def run_executor(adapter: Adapter, channel: socket.socket, settings: ExecutorSettings) -> int:
    """Be an executor: say so, open the adapter, run calls until the channel ends.

    The process is set up before: subreaper, descriptors, limits, signals, stdout and stderr.

    Returns:
        The exit code for the process: 0 when the channel ended, 1 when `open()` raised (FAILED
        has been sent). SystemExit in a command ends the process from within.
    """
    end = Channel(channel, Limits(settings.max_result_bytes, settings.max_state_bytes))
    try:
        end.send(frame(Kind.PID, 0, U32.pack(os.getpid())))
        try:
            adapter.open()
        except BaseException as error:  # noqa: BLE001  # user's code; sys.exit is not ready either
            _LOG.exception("open() raised")
            reason = f"open() raised {type(error).__name__}: {' '.join(str(error).split())}"
            end.send(frame(Kind.FAILED, 0, json.dumps({"reason": reason[:1000]}).encode()))
            return 1
        calls = Calls(adapter, end, settings)
        end.send(frame(Kind.READY, 0))
        _serve(end, calls, settings)
    except ChannelClosedError:
        _LOG.debug("the agent has gone")
    _close(adapter)
    return 0


def _serve(channel: Channel, calls: Calls, settings: ExecutorSettings) -> None:
    if settings.isolation == "thread":
        serve_in_threads(channel, calls, settings.concurrency)
    else:
        while (request := channel.receive()) is not None:
            calls.answer(*request)


def _close(adapter: Adapter) -> None:
    try:
        adapter.close()
    except Exception:  # noqa: BLE001  # the user's code
        _LOG.exception("close() raised")
