"""Slots: exact, first come first served across routers, and nobody is forgotten."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from pythonpool_worker.agent.slots import LONGEST_HOLD, Free, Offer, Slots


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def slots_of(total: int, clock: HandClock) -> Slots[str]:
    return Slots(total, clock)


def news(slots: Slots[str]) -> list[Offer[str] | Free[str]]:
    told, slots.news = slots.news, []
    return told


def test_no_more_are_given_than_there_are(clock: HandClock) -> None:
    slots = slots_of(2, clock)

    assert [slots.take("a", 0, None) for _ in range(3)] == [True, True, False]
    assert slots.busy == 2


def test_one_that_is_freed_goes_back_to_the_same_router(clock: HandClock) -> None:
    """The common case: SLOT_FREE in the terminal frame, no frame of its own."""
    slots = slots_of(1, clock)
    slots.take("a", 0, None)

    assert slots.give_back("a")
    assert news(slots) == []


def test_the_longest_waiting_router_gets_the_offer(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.take("b", 1, None)
    slots.take("c", 2, None)

    assert not slots.give_back("a")
    assert news(slots) == [Offer("c")]


def test_a_router_that_waits_longer_itself_keeps_its_slot(clock: HandClock) -> None:
    """And it is kept for it, so that no other call slips in between."""
    slots = slots_of(1, clock)
    slots.take("a", 0, 3)
    slots.take("b", 1, None)

    assert slots.give_back("a")
    assert news(slots) == []
    assert not slots.take("b", 1, None)
    assert slots.take("a", 3, None)


def test_an_offer_keeps_the_slot_from_others(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.take("b", 1, None)
    slots.give_back("a")

    assert not slots.take("a", 0, None)
    assert slots.take("b", 1, None)


def test_an_offer_that_is_declined_goes_to_the_next(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.take("b", 2, None)
    slots.take("c", 1, None)
    slots.give_back("a")
    news(slots)
    slots.decline("b")

    assert news(slots) == [Offer("c")]


def test_an_offer_that_is_not_used_in_time_goes_to_the_next(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.take("b", 2, None)
    slots.take("c", 1, None)
    slots.give_back("a")
    news(slots)
    clock.now += LONGEST_HOLD
    slots.expire()

    assert news(slots) == [Offer("c")]


def test_the_hold_follows_the_round_trip(clock: HandClock) -> None:
    """A router that answers quickly blocks a slot only briefly."""
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    for _ in range(50):
        slots.take("b", 1, None)
        slots.give_back("a")
        clock.now += 0.001
        slots.take("b", 1, None)
        slots.take("a", 1, None)
        slots.give_back("b")
        clock.now += 0.001
        slots.take("a", 1, None)
    slots.take("b", 1, None)
    slots.give_back("a")

    assert slots.next_expiry is not None
    assert slots.next_expiry - clock.now == pytest.approx(0.005)


def test_the_denied_are_told_when_nobody_waits(clock: HandClock) -> None:
    slots = slots_of(2, clock)
    slots.take("a", 0, None)
    slots.take("a", 0, None)
    slots.take("b", 1, None)
    slots.give_back("a")
    news(slots)
    slots.decline("b")

    assert news(slots) == [Free("b", 1), Free("a", 1)]


def test_a_call_that_says_nobody_waits_clears_the_list(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.take("b", 1, None)
    slots.give_back("a")
    slots.take("b", 1, None)

    assert slots.waiting() == []


def test_a_call_that_says_others_wait_gets_them_offers(clock: HandClock) -> None:
    """A router whose hint is too low is helped."""
    slots = slots_of(2, clock)
    slots.take("a", 1, 0.5)

    assert slots.is_unsettled
    slots.settle()
    assert news(slots) == [Offer("a")]


def test_a_router_that_has_gone_blocks_nothing(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.take("b", 2, None)
    slots.take("c", 1, None)
    slots.give_back("a")
    news(slots)
    slots.forget("b")

    assert news(slots) == [Offer("c")]


def test_nothing_is_given_while_closed(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.close()

    assert not slots.take("a", 1, None)
    slots.reopen()
    assert news(slots) == [Offer("a")]


def test_a_lost_one_is_never_given_again(clock: HandClock) -> None:
    slots = slots_of(1, clock)
    slots.take("a", 0, None)
    slots.lose()

    assert not slots.take("a", 0, None)
    assert (slots.total, slots.busy) == (0, 0)


@dataclass
class ModelRouter:
    """What a router does by the rules of the protocol; `line` has the arrival times."""

    name: str
    hint: int
    line: deque[float] = field(default_factory=deque)
    to_agent: deque[tuple[str, float]] = field(default_factory=deque)
    from_agent: deque[tuple[str, float]] = field(default_factory=deque)

    def dispatch(self) -> None:
        while self.line and self.hint > 0:
            self.hint -= 1
            self.to_agent.append(("call", self.line.popleft()))

    def hear(self, what: str, value: float) -> None:
        if what == "refuse":
            self.line.appendleft(value)
            self.line = deque(sorted(self.line))
            self.hint = 0
        elif what == "slot_free":
            self.hint += 1
        elif what == "free":
            self.hint = int(value)
        elif what == "offer":
            if self.line:
                self.to_agent.append(("call", self.line.popleft()))
            else:
                self.to_agent.append(("decline", 0))
        self.dispatch()


class Model:
    """Routers, one worker and messages that are under way for a while."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = HandClock()
        self.total = self.dice.randint(1, 4)
        self.slots: Slots[str] = Slots(self.total, self.clock)
        count = self.dice.randint(1, 4)
        self.routers = {n: ModelRouter(n, self.total) for n in "abcd"[:count]}
        self.running: list[str] = []
        self.done = self.sent = self.refused = 0

    def publish(self) -> None:
        for each in news(self.slots):
            count = each.count if isinstance(each, Free) else 0
            word = "free" if isinstance(each, Free) else "offer"
            self.routers[each.router].from_agent.append((word, count))

    def to_agent(self, router: ModelRouter) -> None:
        what, arrived = router.to_agent.popleft()
        now = self.clock.now
        if what == "decline":
            self.slots.decline(router.name)
        elif self.slots.take(
            router.name, now - arrived, now - router.line[0] if router.line else None
        ):
            self.running.append(router.name)
        else:
            self.refused += 1
            router.from_agent.append(("refuse", arrived))
        self.slots.settle()
        self.publish()

    def from_agent(self, router: ModelRouter) -> None:
        router.hear(*router.from_agent.popleft())

    def finish(self) -> None:
        name = self.running.pop(self.dice.randrange(len(self.running)))
        self.done += 1
        free = self.slots.give_back(name)
        self.routers[name].from_agent.append(("slot_free" if free else "done", 0))
        self.publish()

    def arrive(self) -> None:
        router = self.dice.choice(list(self.routers.values()))
        router.line.append(self.clock.now)
        self.sent += 1
        router.dispatch()

    def step(self, arrivals: bool) -> bool:
        """One thing happens; False when nothing can."""
        self.clock.now += self.dice.random() * 0.004
        routers = self.routers.values()
        choices: list[Callable[[], None]] = []
        choices += [partial(self.to_agent, each) for each in routers if each.to_agent]
        choices += [partial(self.from_agent, each) for each in routers if each.from_agent]
        if self.running:
            choices.append(self.finish)
        if arrivals:
            choices.append(self.arrive)
        expiry = self.slots.next_expiry
        if expiry is not None and (expiry <= self.clock.now or not choices):
            self.clock.now = max(self.clock.now, expiry)
            choices.append(self.expire)
        if not choices:
            return False
        self.dice.choice(choices)()
        return True

    def expire(self) -> None:
        self.slots.expire()
        self.publish()


@pytest.mark.parametrize("seed", range(60))
def test_every_call_runs_and_never_too_many(seed: int) -> None:
    """Whatever the order of messages: no slot is given twice, and no call waits for ever."""
    model = Model(seed)
    for _ in range(400):
        model.step(arrivals=True)
        assert len(model.running) == model.slots.busy <= model.total
        assert model.slots.free >= 0
    while model.step(arrivals=False):
        assert len(model.running) == model.slots.busy <= model.total

    assert model.done == model.sent
    assert model.slots.free == model.total
