"""Workers of a pool that have proved who they are and speak no version of the link's protocol.

They dial again each second; one that has not for a while is gone, or was replaced.
"""

REMEMBERED_SECONDS = 30.0
_MOST = 1000

Protocol = tuple[int, int]


class Strangers:
    """The versions that each of them speaks, by its name."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Protocol, float]] = {}

    def refused(self, name: str, protocol: Protocol, now: float) -> None:
        """A HELLO with these versions, the oldest and the newest, was refused."""
        self._seen = {each: seen for each, seen in self._seen.items() if _is_recent(seen[1], now)}
        if name in self._seen or len(self._seen) < _MOST:
            self._seen[name] = (protocol, now)

    def taken(self, name: str) -> None:
        """The worker of that name has been understood."""
        self._seen.pop(name, None)

    def recent(self, now: float) -> dict[str, Protocol]:
        """Those that have dialled within the last half minute."""
        return {
            name: protocol for name, (protocol, at) in self._seen.items() if _is_recent(at, now)
        }


def _is_recent(at: float, now: float) -> bool:
    return now - at <= REMEMBERED_SECONDS
