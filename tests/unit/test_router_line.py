"""Lines: first in, first out, by age; leaving costs nothing."""

import random

from router_objects import call_in, listed, pools_of

from pythonpool.names import SessionHandle
from pythonpool_router.call import GONE, SENT, WAITING, Call
from pythonpool_router.line import Line, SessionLine

POOL = pools_of(listed("general")).get("general")


def session() -> SessionHandle:
    return SessionHandle.new("general", "general-abcde", "0123456789abcdef")


def call(since: float, of: SessionHandle | None = None) -> Call:
    return call_in(POOL, since, of)


def test_the_oldest_goes_first_whenever_it_comes() -> None:
    """A refused call takes the place of its age again."""
    ages = [float(age) for age in range(50)]
    random.Random(1).shuffle(ages)
    line = Line()
    for age in ages:
        line.push(call(age))
    seen = []
    while (first := line.pop()) is not None:
        seen.append(first.since)
    assert seen == sorted(ages)
    assert len(line) == 0


def test_equal_ages_keep_their_order() -> None:
    """Of one instant, the first that came."""
    line = Line()
    calls = [call(1.0) for _ in range(5)]
    for one in calls:
        line.push(one)
    assert list(line) == calls


def test_those_who_leave_are_not_counted_and_not_kept() -> None:
    """A caller that goes leaves its place at once; nothing grows with those that went."""
    line = Line()
    head = call(0.0)
    line.push(head)
    for age in range(1, 5000):
        one = call(float(age))
        line.push(one)
        line.left(one, GONE)
        assert one.state == GONE
    assert len(line) == 1
    assert len(line._calls) < 100
    assert line.head() is head
    line.left(head, GONE)
    assert line.head() is None
    assert line.pop() is None


def test_one_call_of_a_session_at_a_time() -> None:
    """The next is ready when the one before is over."""
    line, one = SessionLine(), session()
    first, second, third = (call(float(age), one) for age in range(3))
    for each in (first, second, third):
        line.push(each, one.secret)
    assert len(line) == 3
    assert line.pop() is first
    assert line.head() is None
    assert line.is_busy(one.secret)
    line.free(one.secret)
    assert line.pop() is second
    line.free(one.secret)
    assert line.pop() is third
    line.free(one.secret)
    assert not line.is_busy(one.secret)


def test_a_blocked_session_waits_for_its_offer() -> None:
    """Only the offer takes it out; other sessions go on."""
    line, one, other = SessionLine(), session(), session()
    blocked, follower, free = call(0.0, one), call(1.0, one), call(2.0, other)
    line.take(one.secret)
    blocked.state = SENT
    line.block(blocked, one.secret)
    line.push(follower, one.secret)
    line.push(free, other.secret)
    assert line.is_behind(blocked)
    assert line.pop() is free
    assert line.offered(one.secret) is blocked
    assert line.offered(one.secret) is None
    line.free(one.secret)
    assert line.head() is follower
    assert line.offered(one.secret) is follower
    assert line.offered(other.secret) is None


def test_leaving_a_session_lets_the_next_go() -> None:
    """From the front and from behind; a blocked session that nobody waits for is tried anew."""
    line, one = SessionLine(), session()
    first, second, third = (call(float(age), one) for age in range(3))
    for each in (first, second, third):
        line.push(each, one.secret)
    line.left(second, one.secret, GONE)
    line.left(first, one.secret, GONE)
    assert line.head() is third
    line.left(third, one.secret, GONE)
    assert not line.is_busy(one.secret)
    last = call(5.0, one)
    line.block(last, one.secret)
    line.left(last, one.secret, GONE)
    assert not line.is_busy(one.secret)


def test_clearing_gives_all_by_age() -> None:
    """When the worker is gone, all of them are told."""
    line, one = SessionLine(), session()
    calls = [call(float(age), one) for age in range(4)]
    for each in calls:
        line.push(each, one.secret)
    assert line.of(one.secret) == calls
    assert line.clear() == calls
    assert len(line) == 0
    assert not line.is_busy(one.secret)
    assert all(each.state == WAITING for each in calls)
