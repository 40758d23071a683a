"""Time, passed in: the one clock that every part is given, so that tests can move it."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the parts ask about time."""

    def monotonic(self) -> float:
        """Seconds that never go back; deadlines and TTLs are counted on these."""
        ...

    def time(self) -> float:
        """Seconds since 1970 in UTC; only for time stamps that people read."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """`time.monotonic()`."""
        return time.monotonic()

    def time(self) -> float:
        """`time.time()`."""
        return time.time()


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. `2026-01-31T12:00:00.000Z`."""
    whole = int(seconds)
    millis = int((seconds - whole) * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{millis:03d}Z"
