"""Bytes of a process's stdout and stderr in, log lines out, within bounds. Pure."""

from collections import deque

MAX_LINE_BYTES = 16 * 1024
BYTES_PER_SECOND = 1_000_000
BURST_BYTES = 1_000_000
TAIL_LINES = 20
MAX_TAIL_LINE = 400


class TokenBucket:
    """How many bytes may pass: `rate` a second, `burst` at once."""

    __slots__ = ("_burst", "_rate", "_tokens", "_when")

    def __init__(
        self, now: float, rate: float = BYTES_PER_SECOND, burst: float = BURST_BYTES
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._when = now

    def take(self, count: int, now: float) -> bool:
        """Whether `count` bytes may pass now; they are then counted."""
        self._tokens = min(self._burst, self._tokens + (now - self._when) * self._rate)
        self._when = now
        if count > self._tokens:
            return False
        self._tokens -= count
        return True


class LineCutter:
    """Cuts bytes into lines; a line that is too long comes in pieces."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are now whole, without their ends and without empty ones.

        Of a line that was written over and over with carriage returns, as progress bars do, the
        last state is what counts.
        """
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [piece for line in whole for piece in _pieces(line)]
        while len(self._rest) >= MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        return lines

    def flush(self) -> list[bytes]:
        """What has come since the last line's end, as lines."""
        rest, self._rest = self._rest, b""
        return _pieces(rest)


class Tail:
    """The last lines of a process, for the day it dies."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def add(self, line: str) -> None:
        """Remember one line, cut to 400 characters."""
        self._lines.append(line[:MAX_TAIL_LINE])

    def text(self) -> str:
        """The lines, oldest first."""
        return "\n".join(self._lines)


def _pieces(line: bytes) -> list[bytes]:
    shown = line.rstrip(b"\r").rpartition(b"\r")[2]
    return [shown[at : at + MAX_LINE_BYTES] for at in range(0, len(shown), MAX_LINE_BYTES)]
