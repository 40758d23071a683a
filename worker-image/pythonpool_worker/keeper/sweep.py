"""Leftovers: children of the keeper that nobody knows are dead executors' descendants, and die."""

import time
from collections.abc import Callable

from pythonpool_worker import linux
from pythonpool_worker.keeper.loop import Loop

SIGKILL, SIGCONT, SIGSTOP = 9, 18, 19
_AGAIN_SECONDS = 0.001
_ESCALATE_SECONDS = 0.2
_STOP_ROUNDS = 50


class Sweep:
    """Kills unknown children until there are none.

    Args:
        pid: the keeper's own.
        is_known: whether a child may live.
    """

    def __init__(self, loop: Loop, pid: int, is_known: Callable[[int], bool]) -> None:
        self._loop = loop
        self._pid = pid
        self._is_known = is_known
        self._since: float | None = None
        self._is_due = False

    def run(self) -> None:
        """One round now, and further ones by itself while there are leftovers."""
        left = self._leftovers()
        if not left:
            self._since = None
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since > _ESCALATE_SECONDS:
            self._escalate()
        else:
            for pid in left:
                linux.send_signal(pid, SIGKILL)
        if not self._is_due:
            self._is_due = True
            self._loop.after(_AGAIN_SECONDS, self._again)

    def _again(self) -> None:
        self._is_due = False
        self.run()

    def _leftovers(self) -> list[int]:
        return [pid for pid in linux.children(self._pid) if not self._is_known(pid)]

    def _escalate(self) -> None:
        """They fork faster than one sweep after the other: stop them all first.

        In a container of our own everything is stopped for a moment; on one machine never, that
        would stop the user's own processes.
        """
        alone = self._pid == 1
        if alone:
            linux.send_signal(-1, SIGSTOP)
        stopped: set[int] = set()
        for _ in range(_STOP_ROUNDS):
            found = [p for left in self._leftovers() for p in (left, *linux.descendants(left))]
            fresh = [pid for pid in found if pid not in stopped]
            if not fresh:
                break
            for pid in fresh:
                linux.send_signal(pid, SIGSTOP)
            stopped.update(fresh)
        for pid in stopped:
            linux.send_signal(pid, SIGKILL)
        if alone:
            linux.send_signal(-1, SIGCONT)
