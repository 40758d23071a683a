"""How long to wait before something that failed is tried again. Pure: failures in, seconds out."""

import random
from dataclasses import dataclass, field

FIRST_SECONDS = 0.5
MOST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
SPREAD = 0.2


def jittered(seconds: float, chance: random.Random) -> float:
    """`seconds` give or take 20 %, so that many do not act at one instant."""
    return seconds * chance.uniform(1 - SPREAD, 1 + SPREAD)


@dataclass(slots=True)
class Backoff:
    """0.5 s, doubled with each failure up to 30 s, ± 20 %; forgotten after 60 s of health.

    Attributes:
        failures: failures in a row, those of one waiting time counted once.
        until: the moment on the monotonic clock before which nothing is tried.
    """

    chance: random.Random = field(default_factory=random.Random)
    first: float = FIRST_SECONDS
    most: float = MOST_SECONDS
    failures: int = 0
    until: float = 0.0

    def failed(self, now: float, healthy_seconds: float) -> None:
        """Count a failure of something that had been healthy for so long."""
        if healthy_seconds >= HEALTHY_SECONDS:
            self.failures = 0
        elif now < self.until:
            return
        wait = min(self.first * 2.0**self.failures, self.most)
        self.failures += 1
        self.until = now + jittered(wait, self.chance)

    def wait(self, now: float) -> float:
        """Seconds from `now` until the next try; 0 when it may be now."""
        return max(0.0, self.until - now)
