"""The one place where a permission to run is taken and given back, and who is told about it.

Rules of protocols.md, section 2: the worker is the judge. Used for the worker's slots and, with a
total of one, for the turn of each session. Pure: knows no link and no clock but the given one.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pythonpool.clock import Clock

R = TypeVar("R", bound=Hashable)

SHORTEST_HOLD = 0.005
LONGEST_HOLD = 0.05


@dataclass(frozen=True, slots=True)
class Offer(Generic[R]):
    """News: one slot is kept for this router."""

    router: R


@dataclass(frozen=True, slots=True)
class Free(Generic[R]):
    """News for a router that was denied: `count` slots are free and nobody waits."""

    router: R
    count: int


@dataclass(slots=True)
class _Kept(Generic[R]):
    router: R
    since: float
    until: float


class Slots(Generic[R]):
    """Slots, the routers that wait for one, and those that one is kept for.

    `news` gathers what is to be said; its owner sends and clears it after the frame that carries
    SLOT_FREE, because FREE is an absolute number and SLOT_FREE adds one.

    Attributes:
        total: slots that may be given out; lost ones are not in it.
        busy: slots that are taken.
        is_open: False while nothing can run; then none is given out.
        news: offers and free slots, in order.
    """

    __slots__ = (
        "_clock",
        "_denied",
        "_kept",
        "_trip",
        "_waiting",
        "busy",
        "is_open",
        "news",
        "total",
    )

    def __init__(self, total: int, clock: Clock) -> None:
        self.total = total
        self.busy = 0
        self.is_open = True
        self.news: list[Offer[R] | Free[R]] = []
        self._clock = clock
        self._waiting: dict[R, float] = {}
        self._kept: list[_Kept[R]] = []
        self._denied: dict[R, None] = {}
        self._trip: dict[R, float] = {}

    @property
    def free(self) -> int:
        """Slots that nobody has and that are kept for nobody."""
        return self.total - self.busy - len(self._kept)

    @property
    def next_expiry(self) -> float | None:
        """When the next slot that is kept must be given to somebody else."""
        return min((kept.until for kept in self._kept), default=None)

    @property
    def is_unsettled(self) -> bool:
        """Somebody waits although slots are free: call `settle` when the reading is done."""
        return bool(self._waiting) and self.is_open and self.free > 0

    def allows(self, router: R) -> bool:
        """Whether `take` would say yes; takes nothing."""
        return self.is_open and (self.free > 0 or any(k.router == router for k in self._kept))

    def take(self, router: R, waited: float, line: float | None) -> bool:
        """Take one for a router's call, or put the router on the list.

        Args:
            waited: seconds that this call has waited so far.
            line: age in seconds of the router's oldest call that still waits, None without one.
        """
        kept = self._claim(router) if self._kept else None
        if line is not None or self._waiting:
            self._note(router, line)
        if not self.is_open or (kept is None and self.free <= 0):
            self.deny(router, waited)
            return False
        self.busy += 1
        return True

    def deny(self, router: R, waited: float) -> None:
        """A router's call was refused: it waits, since `waited` seconds ago."""
        since = self._clock.monotonic() - waited
        self._waiting[router] = min(since, self._waiting.get(router, since))
        self._denied[router] = None

    def give_back(self, router: R | None) -> bool:
        """Give one back that `router` had; None when it can not be told.

        Returns:
            Whether the frame that ends the call carries SLOT_FREE.
        """
        self.busy -= 1
        if router is not None and self.is_open:
            if not self._waiting and not self._denied:
                return True
            told = self._is_next(router)
            if told and router in self._waiting:
                self._keep(router)
            if not told:
                self._denied[router] = None
        else:
            told = False
        self.settle()
        return told

    def lose(self) -> None:
        """One that is taken will never be given out again."""
        self.busy -= 1
        self.total -= 1

    def lose_free(self) -> None:
        """One that was given back already turns out to be lost."""
        self.total -= 1

    def decline(self, router: R) -> None:
        """The router does not use an offer: nobody waits there."""
        self._claim(router)
        self._waiting.pop(router, None)
        self.settle()

    def forget(self, router: R) -> None:
        """The router is gone."""
        self._waiting.pop(router, None)
        self._denied.pop(router, None)
        self._trip.pop(router, None)
        self._kept = [kept for kept in self._kept if kept.router != router]
        self.settle()

    def expire(self) -> None:
        """Give slots that were kept too long to the next."""
        now = self._clock.monotonic()
        for kept in [kept for kept in self._kept if kept.until <= now]:
            self._kept.remove(kept)
            self._waiting.pop(kept.router, None)
            self._denied[kept.router] = None
            self._trip[kept.router] = LONGEST_HOLD
        self.settle()

    def close(self) -> None:
        """Nothing can run for now."""
        self.is_open = False
        self._kept.clear()

    def reopen(self) -> None:
        """Things can run again: those who wait are told."""
        self.is_open = True
        self.settle()

    def settle(self) -> None:
        """Offer what is free to those who wait; when none does, tell the denied."""
        if not self.is_open:
            return
        while self._waiting and self.free > 0:
            router = min(self._waiting, key=self._rank)
            self._keep(router)
            self.news.append(Offer(router))
        if not self._waiting and self._denied and self.free > 0:
            self.news.extend(Free(router, self.free) for router in self._denied)
            self._denied.clear()

    def waiting(self) -> list[R]:
        """The routers that wait, the longest first."""
        return sorted(self._waiting, key=self._waiting.__getitem__)

    def _rank(self, router: R) -> tuple[int, float]:
        # Those that have no offer yet come first: of the others it is not known how many wait.
        return sum(kept.router == router for kept in self._kept), self._waiting[router]

    def _is_next(self, router: R) -> bool:
        """Whether no other router comes before this one."""
        if not self._waiting:
            return True
        own = self._waiting.get(router)
        if own is None:
            return False
        offered = {kept.router for kept in self._kept}
        return all(
            own <= since
            for other, since in self._waiting.items()
            if other != router and other not in offered
        )

    def _note(self, router: R, line: float | None) -> None:
        if line is None:
            self._waiting.pop(router, None)
        else:
            self._waiting[router] = self._clock.monotonic() - line

    def _keep(self, router: R) -> None:
        now = self._clock.monotonic()
        hold = min(LONGEST_HOLD, max(SHORTEST_HOLD, 2 * self._trip.get(router, LONGEST_HOLD)))
        self._kept.append(_Kept(router, now, now + hold))

    def _claim(self, router: R) -> _Kept[R] | None:
        for index, kept in enumerate(self._kept):
            if kept.router == router:
                del self._kept[index]
                trip = self._clock.monotonic() - kept.since
                # Slow answers count at once, quick ones gradually: a hold that is too short makes
                # a refusal, one that is too long only a pause.
                self._trip[router] = max(trip, 0.9 * self._trip.get(router, 0.0) + 0.1 * trip)
                return kept
        return None
