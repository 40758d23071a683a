"""Says on a shared page which call is running, so that the keeper can put its id on each line.

Protocols.md section 5. A call that prints nothing pays no system call for the label but one.
"""

import array
import ctypes
import fcntl
import logging
import mmap
import sys
import termios
import threading
import time

_PAGE_BYTES = 4096
_MAX_ID = 255
# Two rounds of the keeper's reading: only a writer that it holds back waits that long.
_PATIENCE_SECONDS = 0.1
_PAUSE_SECONDS = 0.0002
_LOG = logging.getLogger("pythonpool.executor")
_LIBC = ctypes.CDLL(None)


def flush_output() -> None:
    """Hand everything printed so far to the pipe: Python's buffers and those of C code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or replaced by a command
            _LOG.debug("an output stream can not be flushed")
    _LIBC.fflush(None)


class Label:
    """The label page; without a descriptor nothing is written anywhere."""

    def __init__(self, descriptor: int | None, output: int = 1) -> None:
        self._page = None if descriptor is None else mmap.mmap(descriptor, _PAGE_BYTES)
        self._output = output
        self._count = array.array("i", [0])
        self._lock = threading.Lock()
        self._running: dict[int, bytes] = {}

    def begin(self, number: int, call_id: bytes) -> None:
        """Call `number` begins."""
        if self._page is not None:
            with self._lock:
                self._running[number] = call_id[:_MAX_ID]
                self._write()

    def end(self, number: int) -> None:
        """Call `number` has been answered; waits at most 100 ms until its lines are read."""
        flush_output()
        if self._page is not None:
            with self._lock:
                self._running.pop(number, None)
                self._drain()
                self._write()

    def _write(self) -> None:
        page = self._page
        if page is None:
            return
        page[0] = 0
        if len(self._running) == 1:
            (call_id,) = self._running.values()
            page[1 : 1 + len(call_id)] = call_id
            page[0] = len(call_id)

    def _drain(self) -> None:
        if self._unread():
            until = time.monotonic() + _PATIENCE_SECONDS
            while self._unread() and time.monotonic() < until:
                time.sleep(_PAUSE_SECONDS)

    def _unread(self) -> int:
        try:
            fcntl.ioctl(self._output, termios.FIONREAD, self._count)
        except OSError:  # no pipe: nobody labels it
            return 0
        return self._count[0]
