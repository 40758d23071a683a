"""What is decided about memory: where the line is, when to look again, who is to go. Pure."""

from collections import deque
from collections.abc import Mapping

MIN_MARGIN_BYTES = 100_000_000
MARGIN_SHARE = 0.1
LOWEST_LINE_SHARE = 0.6
# As fast as a process was seen to grow, several times over.
BYTES_PER_SECOND = 8_000_000_000
SHORTEST_LOOK_SECONDS = 0.005
LONGEST_LOOK_SECONDS = 0.1
GROWTH_SECONDS = 1.0
REPORT_SHARE = 0.01


def kill_line(limit_bytes: int) -> int:
    """Beyond this the keeper kills, before the kernel does: 10 % or 100 MB below the limit.

    Never below 60 % of the limit: a small pool needs most of what it was given.
    """
    margin = max(int(limit_bytes * MARGIN_SHARE), MIN_MARGIN_BYTES)
    return max(limit_bytes - margin, int(limit_bytes * LOWEST_LINE_SHARE))


def seconds_to_next_look(headroom_bytes: int) -> float:
    """The nearer the line, the sooner: 5 to 100 ms."""
    wait = headroom_bytes / BYTES_PER_SECOND
    return min(max(wait, SHORTEST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)


def is_worth_telling(told_bytes: int, now_bytes: int) -> bool:
    """Whether the sum has changed by 1 % or more since it was last told."""
    return abs(now_bytes - told_bytes) >= max(told_bytes * REPORT_SHARE, 1)


class Growth:
    """How much each executor has grown in the last second."""

    def __init__(self) -> None:
        self._seen: dict[int, deque[tuple[float, int]]] = {}

    def note(self, now: float, sizes: Mapping[int, int]) -> None:
        """Remember the sizes in bytes; who is not among them is forgotten."""
        self._seen = {key: self._seen.get(key, deque()) for key in sizes}
        for key, size in sizes.items():
            seen = self._seen[key]
            seen.append((now, size))
            while seen[0][0] < now - GROWTH_SECONDS and len(seen) > 1:
                seen.popleft()

    def of(self, key: int) -> int:
        """Bytes; an executor that is younger than a second has grown from nothing."""
        seen = self._seen[key]
        is_old = seen[-1][0] - seen[0][0] >= GROWTH_SECONDS / 2
        return seen[-1][1] - (seen[0][1] if is_old else 0)

    def greediest(self) -> int | None:
        """Who has grown most, and of several the largest; None when there is nobody."""
        return max(self._seen, key=lambda key: (self.of(key), self._seen[key][-1][1]), default=None)
