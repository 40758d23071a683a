"""Start and end of an executor."""

import socket

from pythonpool.adapter import Adapter
from pythonpool_worker.executor.settings import ExecutorSettings


def run_executor(adapter: Adapter, channel: socket.socket, settings: ExecutorSettings) -> int:
    """Be an executor: say so, open the adapter, run calls until the channel ends.

    The process is set up before: subreaper, descriptors, limits, signals, stdout and stderr.

    Returns:
        The exit code for the process: 0 when the channel ended, 1 when `open()` raised (FAILED
        has been sent). SystemExit in a command ends the process from within.
    """
    raise NotImplementedError
