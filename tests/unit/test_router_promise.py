"""Of callers refused at one instant who obey, four in five get in."""

import heapq
import random

import pytest

from pythonpool_router.promise import CEILING_SECONDS, FLOOR_SECONDS, Promise


def admitted(slots: int, room: int, refused: int, service: float, seed: int) -> float:
    """The share of refused callers that finds a place when it comes back as it was told.

    A pool of `slots` with `room` places in its line is full at time 0, when `refused` callers are
    told when to come back; service times vary by half of their mean.
    """
    random.seed(seed)
    promise = Promise()
    promise.served(service)
    backs = sorted(promise.next_place(0.0, room, slots, room) for _ in range(refused))
    chance = random.Random(seed)

    def duration() -> float:
        return service * chance.uniform(0.5, 1.5)

    ends = [duration() * chance.random() for _ in range(slots)]
    heapq.heapify(ends)
    waiting, entered = room, 0
    for back in backs:
        while ends and ends[0] <= back:
            end = heapq.heappop(ends)
            if waiting:
                waiting -= 1
                heapq.heappush(ends, end + duration())
        if len(ends) < slots:
            heapq.heappush(ends, back + duration())
            entered += 1
        elif waiting < room:
            waiting += 1
            entered += 1
    return entered / refused


@pytest.mark.parametrize(
    ("slots", "room"), [(1, 0), (1, 1), (2, 0), (4, 0), (1, 4), (4, 10), (16, 100)]
)
def test_four_in_five_who_obey_are_admitted(slots: int, room: int) -> None:
    """Whatever the size of the pool."""
    shares = [admitted(slots, room, 200, 0.1, seed) for seed in range(20)]
    assert sum(shares) / len(shares) >= 0.8


def test_routers_promise_their_shares() -> None:
    """Two that promise all of it would bring twice as many callers as there are places."""
    alone, shared = Promise(), Promise()
    alone.served(1.0)
    shared.served(1.0)
    last_alone = max(alone.next_place(0.0, 10, 4, 10) for _ in range(200))
    last_shared = max(shared.next_place(0.0, 10, 4, 10, 2) for _ in range(100))

    assert 0.6 < last_shared / last_alone < 1.6


def test_promises_differ_and_rise() -> None:
    """A crowd that is refused together must not come back together."""
    promise = Promise()
    promise.served(1.0)
    waits = [promise.next_place(0.0, 10, 4, 10) for _ in range(100)]
    assert waits[-1] > 10 * waits[0]
    assert len(set(waits)) == 100


def test_old_promises_do_not_delay_later_callers() -> None:
    """Once their time has passed, the next caller is told the line alone."""
    promise = Promise()
    promise.served(1.0)
    for _ in range(10):
        promise.next_place(0.0, 1, 1, 10)
    assert promise.next_place(1000.0, 1, 1, 10) < 3.0


def test_bounds_and_ignorance() -> None:
    """Never zero, never more than an hour; one second is the guess before the first call."""
    promise = Promise()
    assert 0.8 <= promise.next_place(0.0, 1, 1, 100) <= 2.0
    promise.served(1e-9)
    assert promise.interval(0) < 1e-6
    assert Promise().interval(2) == 0.5
    fast, slow = Promise(), Promise()
    fast.served(1e-6)
    slow.served(1e6)
    assert fast.next_place(0.0, 1, 1, 1) == FLOOR_SECONDS
    assert slow.next_place(0.0, 1, 1, 1) == CEILING_SECONDS


def test_the_mean_follows_what_is_served() -> None:
    """Slowly, so that one call does not make it jump."""
    promise = Promise()
    promise.served(1.0)
    promise.served(17.0)
    assert promise.service_seconds == 2.0
