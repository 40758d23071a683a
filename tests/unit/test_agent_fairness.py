"""Routers that compete for one worker's slots: hardly a refusal, and nobody waits longer."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from pythonpool_worker.agent.slots import Offer, Slots

CALLS = 2000


@dataclass
class Router:
    """One router by the rules of the protocol, with callers that always come back."""

    hint: int
    line: deque[float] = field(default_factory=deque)
    waits: list[float] = field(default_factory=list)


class Rush:
    """A closed loop of callers over several routers and one worker, on a clock of its own."""

    def __init__(self, routers: int, slots: int, callers: int, run: float, trip: float) -> None:
        self.now = 0.0
        self.done = self.refused = 0
        self._armed = float("inf")
        self._dice = random.Random(7)
        self._run, self._trip = run, trip
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sent: dict[tuple[str, int], float] = {}
        self._slots: Slots[int] = Slots(slots, self)
        self.routers = [Router(slots, deque([0.0] * callers)) for _ in range(routers)]
        for name in range(routers):
            self._dispatch(name)
        while self.done < CALLS:
            when, _, action = heapq.heappop(self._events)
            self.now = max(self.now, when)
            action()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, self._dice.getrandbits(62), action))

    def _send(self, way: str, name: int, action: Callable[[], None]) -> None:
        """Messages of one direction stay in order."""
        earliest = self._sent.get((way, name), 0.0) + 1e-7
        when = max(self.now + self._trip * self._dice.uniform(0.5, 1.5), earliest)
        self._sent[way, name] = when
        self._at(when, action)

    def _dispatch(self, name: int) -> None:
        router = self.routers[name]
        while router.line and router.hint > 0:
            router.hint -= 1
            self._call(name)

    def _call(self, name: int) -> None:
        line = self.routers[name].line
        arrived = line.popleft()
        oldest = self.now - line[0] if line else None
        self._send("up", name, partial(self._judge, name, arrived, self.now - arrived, oldest))

    def _judge(self, name: int, arrived: float, waited: float, oldest: float | None) -> None:
        if self._slots.take(name, waited, oldest):
            self.routers[name].waits.append(waited)
            self._at(self.now + self._dice.expovariate(1 / self._run), partial(self._over, name))
        else:
            self.refused += 1
            self._send("down", name, partial(self._refused, name, arrived))
        self._slots.settle()
        self._publish()

    def _over(self, name: int) -> None:
        self.done += 1
        gained = int(self._slots.give_back(name))
        self._send("down", name, partial(self._answered, name, gained))
        self._publish()

    def _publish(self) -> None:
        told, self._slots.news = self._slots.news, []
        for each in told:
            if isinstance(each, Offer):
                self._send("down", each.router, partial(self._offered, each.router))
            else:
                self._send("down", each.router, partial(self._freed, each.router, each.count))
        expiry = self._slots.next_expiry
        if expiry is not None and expiry < self._armed:
            self._armed = expiry
            self._at(expiry + 1e-9, self._expire)

    def _expire(self) -> None:
        self._armed = float("inf")
        self._slots.expire()
        self._publish()

    def _refused(self, name: int, arrived: float) -> None:
        router = self.routers[name]
        router.line = deque(sorted([arrived, *router.line]))
        router.hint = 0

    def _answered(self, name: int, gained: int) -> None:
        router = self.routers[name]
        router.hint += gained
        router.line.append(self.now)
        self._dispatch(name)

    def _offered(self, name: int) -> None:
        if self.routers[name].line:
            self._call(name)
        else:
            self._send("up", name, partial(self._declined, name))

    def _declined(self, name: int) -> None:
        self._slots.decline(name)
        self._publish()

    def _freed(self, name: int, count: int) -> None:
        self.routers[name].hint = count
        self._dispatch(name)


@pytest.mark.parametrize("run", [0.010, 0.001])
@pytest.mark.parametrize(("routers", "slots"), [(2, 4), (2, 1), (4, 4)])
def test_a_saturated_worker_refuses_little_and_is_fair(
    routers: int, slots: int, run: float
) -> None:
    """Refusals per finished call at most 0.1; the 99th percentile of waiting within 1.2."""
    rush = Rush(routers, slots, callers=16, run=run, trip=0.0003)
    worst = [sorted(each.waits)[len(each.waits) * 99 // 100] for each in rush.routers]

    assert rush.refused <= 0.1 * rush.done
    assert max(worst) <= 1.2 * min(worst)
