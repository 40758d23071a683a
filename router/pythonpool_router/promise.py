"""When a refused caller should come back: each is promised the next expected place. Pure.

Callers refused at one instant must not come back at one instant: every promise is later than the
one before it by the time in which one place comes free.
"""

import random

FLOOR_SECONDS = 0.02
CEILING_SECONDS = 3600.0
DEFAULT_SERVICE_SECONDS = 1.0
JITTER = 0.2
SETTLED_BY = 128
"""Calls after which those before them move the mean by less than a thousandth: (15/16)^128."""


class Promise:
    """The measured service time of a pool, and the last place that was promised.

    Attributes:
        service_seconds: moving mean of the time to run; None before the first call ended.
    """

    __slots__ = ("_promised_at", "service_seconds")

    def __init__(self) -> None:
        self.service_seconds: float | None = None
        self._promised_at = 0.0

    def served(self, seconds: float) -> None:
        """A call ended after `seconds`."""
        mean = self.service_seconds
        self.service_seconds = seconds if mean is None else mean + (seconds - mean) / 16

    def interval(self, slots: int) -> float:
        """Seconds in which one of `slots` comes free, as far as is known."""
        return (self.service_seconds or DEFAULT_SERVICE_SECONDS) / max(slots, 1)

    def next_place(
        self, now: float, waiting: int, slots: int, room: int, routers: int = 1
    ) -> float:
        """Seconds until the caller that is refused now should come back, jitter included.

        Args:
            waiting: calls in the line before it.
            slots: of ready workers and of those on their way.
            room: places in the line when it is empty.
            routers: that promise places of this pool now, each its share of them.

        Of `slots + room` places few are free at a time, so the promises are spread wider the fewer
        there are: one slot without a line, met at a random moment, is free four times in five only
        when it is used a fifth of the time.
        """
        interval = self.interval(slots)
        spread = 1.25 + 2.5 / max(slots + room, 1)
        earliest = now + max(waiting, 1) * interval
        self._promised_at = max(self._promised_at + interval * routers * spread, earliest)
        wait = self.jittered(self._promised_at - now)
        return min(max(wait, FLOOR_SECONDS), CEILING_SECONDS)

    @staticmethod
    def jittered(seconds: float) -> float:
        """`seconds` ± 20 %."""
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
