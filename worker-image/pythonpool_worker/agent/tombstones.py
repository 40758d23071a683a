"""What is kept of sessions that ended: why, so that a late caller gets an honest answer."""

from collections import OrderedDict
from dataclasses import dataclass

from pythonpool.clock import Clock
from pythonpool.errors import PythonPoolError, SessionExpired, SessionLost, SessionNotFound

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Tombstone:
    """How a session ended: `reason` is `deleted`, `expired` or `lost`; `cause` only for `lost`."""

    owner: str
    reason: str
    cause: str | None
    until: float


class Tombstones:
    """At most MOST of them, each for at most the given seconds; the oldest go first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, Tombstone] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, secret: str, owner: str, reason: str, cause: str | None, seconds: float) -> None:
        """Remember that a session has ended."""
        now = self._clock.monotonic()
        self._kept[secret] = Tombstone(owner, reason, cause, now + seconds)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._kept.popitem(last=False)

    def answer(self, secret: str, owner: str | None) -> PythonPoolError:
        """What a caller is told who asks for a session that is not there; None asks for anybody."""
        stone = self._kept.get(secret)
        if stone is None or stone.until <= self._clock.monotonic():
            return SessionNotFound("no such session; open a new one")
        if owner not in (stone.owner, None) or stone.reason == "deleted":
            return SessionNotFound("no such session; open a new one")
        if stone.reason == "expired":
            return SessionExpired("the session's TTL has passed; open a new one")
        return SessionLost(
            f"the session is lost ({stone.cause}); open a new one", cause=stone.cause
        )
