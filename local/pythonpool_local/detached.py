"""`up --detach`: the supervisor goes on in a session of its own, after the pools are ready."""

import contextlib
import os
import signal
from collections.abc import Callable

_READY = b"r"


def detach(lead: Callable[[Callable[[], None]], int]) -> int:
    """Run `lead` in a process of its own; the exit code of what happened until it was ready.

    Args:
        lead: runs the supervisor and returns its exit code; it calls what it is given when the
            pools are ready. Until then it writes to the streams of this process.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        return _lead_apart(lead, writing)  # and on to the end of the program, as any other
    os.close(writing)
    with open(reading, "rb") as pipe:
        try:
            if pipe.read(1) == _READY:
                return 0
            _, status = os.waitpid(pid, 0)
        except KeyboardInterrupt:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
            raise
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1


def _lead_apart(lead: Callable[[Callable[[], None]], int], writing: int) -> int:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def when_ready() -> None:
        os.write(writing, _READY)
        os.close(writing)

    return lead(when_ready)
