"""Reads one process's output pipe, and hands its lines to the log with the call's id."""

import os
import time
from collections.abc import Callable

from pythonpool_worker.keeper.log import Log
from pythonpool_worker.keeper.loop import Loop, Timer
from pythonpool_worker.keeper.output import LineCutter, Tail, TokenBucket

_READ_BYTES = 65_536
# Beyond this the writer waits in its own write(), and the keeper has time for others.
_BYTES_PER_ROUND = 256 * 1024
_ROUND_SECONDS = 0.05
_TELL_SECONDS = 1.0


class OutputPipe:
    """The output of one process.

    Args:
        fd: the reading end; stays the caller's to close, after `close`.
        who: fields for each line, such as `{"executor": 3}`.
        label: asks for the id of the running call.
    """

    def __init__(
        self, loop: Loop, log: Log, fd: int, who: dict[str, object], label: Callable[[], str]
    ) -> None:
        self._loop = loop
        self._log = log
        self._fd = fd
        self._who = who
        self._label = label
        self._call = ""
        now = time.monotonic()
        self._bucket = TokenBucket(now)
        self._cutter = LineCutter()
        self._tail = Tail()
        self._dropped = 0
        self._round_started = now
        self._round_bytes = 0
        self._pause: Timer | None = None
        loop.read(fd, self._on_readable)

    @property
    def tail(self) -> str:
        """The last 20 lines."""
        return self._tail.text()

    def finish(self) -> None:
        """The process is dead: take what is still in the pipe, and the last unfinished line."""
        for _ in range(_BYTES_PER_ROUND // _READ_BYTES):
            if not self._read():
                break
        self._emit(self._cutter.flush())
        self._say_dropped()
        self.close()

    def close(self) -> None:
        """Read no more."""
        self._loop.forget_reader(self._fd)
        if self._pause:
            self._pause.cancel()

    def _on_readable(self) -> None:
        now = time.monotonic()
        if now - self._round_started >= _ROUND_SECONDS:
            self._round_started, self._round_bytes = now, 0
        count = self._read()
        self._round_bytes += count
        if not count:
            self._loop.forget_reader(self._fd)  # the last writer is gone
        elif self._round_bytes >= _BYTES_PER_ROUND:
            self._loop.forget_reader(self._fd)
            rest = self._round_started + _ROUND_SECONDS - now
            self._pause = self._loop.after(max(rest, 0.0), self._resume)

    def _resume(self) -> None:
        self._loop.read(self._fd, self._on_readable)

    def _read(self) -> int:
        # Before the read: the executor changes its label only while the pipe is empty.
        call = self._label()
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        if call != self._call:
            self._emit(self._cutter.flush())
            self._call = call
        self._emit(self._cutter.feed(data))
        return len(data)

    def _emit(self, lines: list[bytes]) -> None:
        now = time.monotonic()
        for line in lines:
            if not self._bucket.take(len(line), now):
                self._drop(len(line) + 1)
                continue
            text = line.decode(errors="backslashreplace")
            self._tail.add(text)
            call = {"call": self._call} if self._call else {}
            self._log.say("info", "output", **self._who, **call, line=text)

    def _drop(self, count: int) -> None:
        if not self._dropped:
            self._loop.after(_TELL_SECONDS, self._say_dropped)
        self._dropped += count

    def _say_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            message = f"{dropped} bytes dropped"
            self._log.say("warning", "output_dropped", **self._who, line=message, bytes=dropped)
