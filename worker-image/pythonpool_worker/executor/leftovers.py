"""Processes that a finished call has left behind are ended with it.

The executor is a subreaper: whatever its commands spawn, daemons too, stays below it.
"""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

_PATIENCE_SECONDS = 0.2
_PAUSE_SECONDS = 0.0005
_TASKS = Path("/proc/self/task")


class Leftovers:
    """Tells children that calls have left behind from those that `open()` has made."""

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()

    def spare_present(self) -> None:
        """The children that live now are the adapter's own; call it after `open()`."""
        self._known = frozenset(_children(None))

    def end(self) -> bool:
        """Kill and reap all children but the spared; True when none is left.

        Costs one system call when there are none; 200 ms at most.
        """
        if not self._known and not _has_children():
            return True
        return self._sweep(None)

    def end_of_thread(self) -> bool:
        """The same for children that the calling thread has made itself."""
        return not _has_children() or self._sweep(threading.get_native_id())

    def _sweep(self, thread: int | None) -> bool:
        until = time.monotonic() + _PATIENCE_SECONDS
        while left := [pid for pid in _children(thread) if pid not in self._known]:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children(thread: int | None) -> list[int]:
    """Ids of all children, zombies too; of one thread's own, or of all threads."""
    found: list[int] = []
    for name in [str(thread)] if thread is not None else os.listdir(_TASKS):
        with suppress(FileNotFoundError):
            found += map(int, (_TASKS / name / "children").read_text().split())
    return found
