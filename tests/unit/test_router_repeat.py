"""A call that comes again is judged as it was, but for who asks; the outcome must be the same."""

from collections.abc import Callable
from typing import cast

import pytest
from router_objects import listed, pools_of

from pythonpool_router.access import Caller
from pythonpool_router.answers import Answer
from pythonpool_router.call import ANSWERED, NEW, Call
from pythonpool_router.front import Connection
from pythonpool_router.intake import Intake
from pythonpool_router.pools import Pools
from pythonpool_router.repeat import Repeat, repeat_of
from pythonpool_router.requests import Request
from pythonpool_router.target import parse_target

ME = Caller("me")
HEAD = (
    b"POST /v1/pools/a/execute/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
    b"Accept: */*\r\nAuthorization: Bearer t\r\n\r\n"
)


class Door:
    """An Access that lets everybody in, as far as it is told."""

    def __init__(self) -> None:
        self.standing: object = "as it was"

    def caller(self, authorization: bytes | None) -> Caller:
        return ME

    def permit(self, caller: Caller, action: str, pool: str) -> None:
        """Everything."""


DOOR = Door()


class Ground:
    """As much of a connection as an answer wants to know before it answers."""

    dispatcher = None


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def parsed(data: bytes) -> list[Request]:
    intake = Intake()
    intake.feed(data)
    return list(intake.requests)


def remembered(data: bytes, pools: Pools, most: int = 1 << 20) -> Repeat | None:
    request = parsed(data)[0]
    answer = Answer(cast(Connection, Ground()))
    call = answer.call = Call(pools.by_name["a"], "echo", 0, 1000, b"me", answer)
    call.traceparent = request.named.get(b"traceparent", b"")
    target = parse_target(request.target)
    return repeat_of(request, target, DOOR, call, answer, pools, most)


def of(data: bytes) -> Repeat:
    repeat = remembered(data, pools_of(listed("a")))
    assert repeat is not None
    return repeat


@pytest.mark.parametrize(
    "following",
    [
        whole(b"abc"),
        whole(b"another length"),
        whole(b""),
        whole(b"abc").replace(b"Accept", b"Expect"),
        whole(b"abc").replace(b"echo", b"ping"),
        whole(b"abc").replace(b"Content-Length: 3", b"Content-Length: 3x"),
        whole(b"abc").replace(b"Content-Length: 3", b"Content-Length: 03"),
        whole(b"abc").replace(b"Content-Length: 3", b"Content-Length: -3"),
        whole(b"abc").replace(b"Content-Length: 3", b"Content-Length: "),
        whole(b"abc").replace(b"\r\nAccept", b"\nAccept"),
        whole(b"abc")[:-1],
        whole(b"abc") + whole(b"behind"),
        whole(b"abc") + b"\r\n\r\n",
    ],
)
def test_the_body_of_a_head_that_comes_again_is_what_the_parser_would_say(following: bytes) -> None:
    body = of(whole(b"abc")).body(following)

    if body is not None:
        (request,) = parsed(following)
        assert (request.error, request.is_whole, request.is_last) == (None, True, False)
        assert b"".join(request.body) == body


@pytest.mark.parametrize("body", [b"abc", b"another length", b""])
def test_the_same_head_with_any_body_is_known(body: bytes) -> None:
    assert of(whole(b"abc")).body(whole(body)) == body


@pytest.mark.parametrize(
    "first",
    [
        whole(b"abcd") + b"\r\n\r\n\r\n\r\n",
        whole(b"abcd") + whole(b"abcd")[:20],
        whole(b"abcd").replace(b"Accept: */*", b"Connection: close"),
        whole(b"abcd").replace(b"Content-Length: 4", b"X: 1\r\nContent-Length:4"),
        whole(b"abcd").replace(b"/pools/a", b""),
    ],
)
def test_what_is_odd_is_not_remembered(first: bytes) -> None:
    assert remembered(first, pools_of(listed("a"))) is None


def test_a_head_is_compared_where_a_request_begins_and_nowhere_else() -> None:
    inner = whole(b"abc")
    repeat = of(inner)

    assert repeat.body(whole(inner)) == inner
    assert repeat.body(inner + inner) is None


def test_whenever_somebody_may_be_judged_otherwise_all_is_judged_anew() -> None:
    pools = pools_of(listed("a"))
    repeat = remembered(whole(b"abc"), pools)
    assert repeat is not None

    assert repeat.call(b"1", DOOR, pools) is not None
    other = Door()
    other.standing = "another token"
    assert repeat.call(b"2", other, pools) is None


@pytest.mark.parametrize("change", [Pools.read, lambda pools: pools.get("a").learn_commands()])
def test_any_change_of_the_pools_lets_all_be_judged_anew(
    change: Callable[[Pools], object],
) -> None:
    pools = pools_of(listed("a"))
    repeat = remembered(whole(b"abc"), pools)
    assert repeat is not None

    assert repeat.call(b"1", DOOR, pools) is not None
    change(pools)
    assert repeat.call(b"1", DOOR, pools) is None


def test_a_body_over_the_limit_is_left_to_those_who_refuse_it() -> None:
    pools = pools_of(listed("a"))
    repeat = remembered(whole(b"abc"), pools, most=5)
    assert repeat is not None

    assert repeat.call(b"12345", DOOR, pools) is not None
    assert repeat.call(b"123456", DOOR, pools) is None


def test_nothing_of_the_call_before_is_left_in_the_next() -> None:
    pools = pools_of(listed("a"))
    repeat = remembered(whole(b"abc"), pools)
    assert repeat is not None
    call = repeat.call(b"1", DOOR, pools)
    assert call is not None
    call.state, call.number, call.run_us = ANSWERED, 7, 8

    again = repeat.call(b"", DOOR, pools)
    assert again is call
    assert (call.state, call.number, call.run_us) == (NEW, 0, 0)
    assert (call.body, call.body_bytes) == ([], 0)


def test_a_call_that_a_line_may_hold_is_not_used_again() -> None:
    pools = pools_of(listed("a"))
    repeat = remembered(whole(b"abc"), pools)
    assert repeat is not None
    call = repeat.call(b"1", DOOR, pools)
    assert call is not None
    pools.by_name["a"].line.push(call)

    other = repeat.call(b"2", DOOR, pools)
    assert other is not None
    assert other is not call
    assert repeat.answer.call is other


TRACED = HEAD.replace(b"Accept: */*", b"traceparent: %b")
FIRST, OTHER = (b"00-" + digit * 32 + b"-" + digit * 16 + b"-01" for digit in (b"a", b"1"))


def traced(body: bytes, trace: bytes) -> bytes:
    return TRACED % (len(body), trace) + body


def of_traced(pools: Pools) -> Repeat:
    repeat = remembered(traced(b"abc", FIRST), pools)
    assert repeat is not None
    return repeat


def test_a_traceparent_may_be_another_and_goes_with_its_own_call() -> None:
    pools = pools_of(listed("a"))
    repeat = of_traced(pools)
    for body, trace in ((b"abc", OTHER), (b"a", OTHER), (b"abc", FIRST), (b"a", FIRST)):
        assert repeat.body(traced(body, trace)) == body
        call = repeat.call(body, DOOR, pools)
        assert call is not None
        assert call.traceparent == trace
        call.names = trace


@pytest.mark.parametrize(
    "trace",
    [
        FIRST[:-1],
        FIRST + b"0",
        FIRST[:-1] + b"\n",
        FIRST[:-2] + b"\r\n",
        b"00-\r\nHost: y\r\n".ljust(len(FIRST), b"a"),
        FIRST.replace(b"00-", b"01-"),
        FIRST.upper(),
        b"",
    ],
)
def test_what_is_no_traceparent_is_left_to_the_parser(trace: bytes) -> None:
    assert of_traced(pools_of(listed("a"))).body(traced(b"abc", trace)) is None


def test_two_traceparents_are_compared_as_they_are() -> None:
    two = traced(b"abc", FIRST + b"\r\ntraceparent: " + OTHER)
    repeat = of(two)

    assert repeat.body(two) == b"abc"
    assert repeat.body(two.replace(OTHER, FIRST)) is None
