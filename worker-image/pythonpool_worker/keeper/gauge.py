"""Reads how much memory processes hold: fast by estimate, and exactly when it matters."""

import os
import time
from collections.abc import Callable

from pythonpool_worker import linux

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EXACT = (b"Pss_Anon:", b"Pss_Shmem:")
# Pages that were shared when it was asked get copied as they are written to.
_CORRECTION_SECONDS = 0.5
# Children of other threads than the first are found this late; to list all costs 40 us a tree.
_OTHER_THREADS_SECONDS = 0.25


class ProcessGauge:
    """Anonymous memory of one process, by a descriptor that stays open: 2 us a look.

    The descriptor belongs to the process, not to its number, so another's size is never read.
    """

    __slots__ = ("_fd",)

    def __init__(self, pid: int) -> None:
        self._fd = _open(f"/proc/{pid}/statm")

    def read(self) -> int:
        """Bytes; 0 when it is dead."""
        try:
            _, resident, shared, *_ = os.pread(self._fd, 128, 0).split(b" ")
        except (OSError, ValueError):
            return 0
        return max(int(resident) - int(shared), 0) * _PAGE

    def close(self) -> None:
        """Look no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class TreeGauge:
    """Memory of a process and of all that live below it.

    Args:
        pid: the root.
        shared: bytes that the root has in common with the process it was forked from.
    """

    def __init__(self, pid: int, shared: int = 0) -> None:
        self.pid = pid
        self._shared = shared
        self._root = ProcessGauge(pid)
        self._below: dict[int, ProcessGauge] = {}
        self._children = _open(f"/proc/{pid}/task/{pid}/children")
        self._looked_below = 0.0

    def read(self) -> int:
        """Bytes, by estimate: what descendants share with each other is counted more than once."""
        self._look_below()
        own = max(self._root.read() - self._shared, 0)
        return own + sum(gauge.read() for gauge in self._below.values())

    def pids(self) -> list[int]:
        """The root and all that were below it at the last look."""
        return [self.pid, *self._below]

    def close(self) -> None:
        """Look no more."""
        for gauge in (self._root, *self._below.values()):
            gauge.close()
        if self._children >= 0:
            os.close(self._children)
            self._children = -1

    def _is_childless(self) -> bool:
        """Whether there was nobody below, and the main thread has made nobody since."""
        try:
            return not self._below and not os.pread(self._children, 16, 0)
        except OSError:
            return False

    def _look_below(self) -> None:
        now = time.monotonic()
        if now - self._looked_below < _OTHER_THREADS_SECONDS and self._is_childless():
            return
        self._looked_below = now
        found = set(linux.descendants(self.pid))
        for pid in self._below.keys() - found:
            self._below.pop(pid).close()
        for pid in found - self._below.keys():
            self._below[pid] = ProcessGauge(pid)


def _open(path: str) -> int:
    """A descriptor, or -1 when the process is gone."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def exact_bytes(pids: list[int]) -> int | None:
    """What the processes hold together, each shared page once; None when it can not be read.

    Takes 2 ms a process and 15 ms a gigabyte: to be asked only before a kill.
    """
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:
                lines = file.read().splitlines()
        except PermissionError:
            return None
        except OSError:
            continue  # it has just died
        total += sum(int(line.split()[1]) for line in lines if line.startswith(_EXACT)) * 1024
    return total


class Correction:
    """Turns an estimate into what is really held, asking the kernel no more than needed.

    An estimate counts pages twice that forks share with each other, so it errs upwards.
    """

    __slots__ = ("_excess", "_pids", "_until")

    def __init__(self) -> None:
        self._excess = 0
        self._until = 0.0
        self._pids: list[int] = []

    def apply(
        self, estimate: int, line: int, list_pids: Callable[[], list[int]], now: float
    ) -> int:
        """Bytes: the estimate when it is under the line anyway, else the corrected one."""
        if estimate <= line:
            return estimate
        pids = list_pids()
        if now >= self._until or pids != self._pids:
            exact = exact_bytes(pids)
            self._excess = 0 if exact is None else max(estimate - exact, 0)
            self._until = now + _CORRECTION_SECONDS
            self._pids = pids
        return estimate - self._excess
