"""A head that comes again is taken without the parser; what comes of it must be the same."""

from typing import Any

import pytest

from pythonpool_router.intake import Intake
from pythonpool_router.requests import Request

HEAD = (
    b"POST /v1/pools/a/execute/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
    b"Accept: */*\r\n\r\n"
)


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def seen(request: Request) -> dict[str, Any]:
    """All that a request says, as far as two of them can be compared."""
    values = {name: getattr(request, name) for name in Request.__slots__}
    error = values.pop("error")
    return {**values, "body": b"".join(values["body"]), "error": error and str(error)}


def one_after_the_other(*datas: bytes) -> list[dict[str, Any]]:
    intake = Intake()
    found = []
    for data in datas:
        intake.feed(data)
        if intake.requests and intake.requests[0].is_whole:
            found += [seen(request) for request in intake.requests]
            intake.requests.clear()
    found += [seen(request) for request in intake.requests]
    return found


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
def test_a_second_request_is_what_a_first_one_would_be(following: bytes) -> None:
    first = whole(b"abc")

    assert one_after_the_other(first, following)[1:] == one_after_the_other(following)


@pytest.mark.parametrize(
    "first",
    [
        whole(b"abcd") + b"\r\n\r\n\r\n\r\n",
        b"\r\n\r\n" + whole(b"abcd"),
        whole(b"abcd").replace(b"Accept: */*", b"Connection: close"),
        whole(b"abcd").replace(b"Content-Length: 4", b"X: 1\r\nContent-Length:4"),
    ],
)
def test_what_an_odd_first_one_leaves_behind_changes_nothing(first: bytes) -> None:
    following = whole(b"12345678")

    assert one_after_the_other(first, first[:-8] + b"12345678")[:1] == one_after_the_other(first)
    if b"close" not in first:
        assert one_after_the_other(first, following)[-1] == one_after_the_other(following)[0]


def test_a_head_is_compared_where_a_request_begins_and_nowhere_else() -> None:
    inner = whole(b"abc")
    outer = whole(inner)

    # The second time the head comes alone, and its body looks like a request of its own.
    found = one_after_the_other(inner, outer[: -len(inner)], inner)

    assert [request["body"] for request in found] == [b"abc", inner]
