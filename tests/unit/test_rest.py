"""Requests as values, and what answers mean: no network."""

import json

import pytest

from pythonpool import errors
from pythonpool.http import rest
from pythonpool.http.answers import connection_lost, no_connection, unwrap_bytes, value_of
from pythonpool.http.rest import Args, Limits

PROBLEM = {"Content-Type": "application/problem+json"}


def test_an_execute_says_everything_in_path_query_and_headers() -> None:
    limits = Limits(timeout=0.00001, queue_timeout=0)
    request = rest.execute(rest.pool_place("general"), "echo", {"a": "é"}, limits, stream=False)

    assert request.method == "POST"
    assert request.path == "/v1/pools/general/execute/echo?timeout=0.00001&queue_timeout=0"
    assert request.body == '{"a":"é"}'.encode()
    assert request.headers()["Content-Type"] == "application/json"


def test_names_can_not_leave_their_segment() -> None:
    request = rest.execute(rest.pool_place("a/b?c"), "d#e", None, Limits(), stream=True)

    assert request.path == "/v1/pools/a%2Fb%3Fc/execute/d%23e"
    with pytest.raises(errors.InvalidArgument):
        rest.pool_place("..")


def test_no_pool_lets_the_router_pick() -> None:
    assert rest.execute(rest.pool_place(None), "echo", None, Limits(), False).path == (
        "/v1/execute/echo"
    )


@pytest.mark.parametrize(
    ("args", "body", "media_type"),
    [
        (None, b"", "application/json"),
        ({}, b"{}", "application/json"),
        (b"", b"", "application/octet-stream"),
        (b"\x00", b"\x00", "application/octet-stream"),
    ],
)
def test_args_are_an_object_or_bytes(args: Args, body: bytes, media_type: str) -> None:
    assert rest.encode_args(args) == (body, media_type)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), "\ud800", {1, 2}])
def test_what_json_can_not_carry_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        rest.encode_args({"x": value})
    assert caught.value.outcome == "not_started"


@pytest.mark.parametrize(
    ("timeout", "stream"), [(None, True), (31, True), (30.001, True), (30, False), (0.1, False)]
)
def test_a_stream_is_asked_for_when_a_proxy_could_lose_patience(
    timeout: float | None, stream: bool
) -> None:
    assert Limits(timeout).wants_stream is stream


@pytest.mark.parametrize("args", [[], [1], "", "text", 0, {1}])
def test_args_of_another_kind_are_refused_and_shown(args: Args) -> None:
    with pytest.raises(errors.InvalidArgument, match="args must be a mapping"):
        rest.encode_args(args)


def test_results_are_json_or_bytes_or_none() -> None:
    assert value_of(200, {"Content-Type": "application/json; charset=utf-8"}, b"[1]") == [1]
    assert value_of(200, {"Content-Type": "application/octet-stream"}, b"[1]") == b"[1]"
    assert value_of(204, {}, b"") is None


def test_bytes_in_an_event_are_bytes_again() -> None:
    assert unwrap_bytes({"$bytes": "AAE="}) == b"\x00\x01"
    for other in ({"$bytes": "no base64"}, {"$bytes": 1}, {"$bytes": "AAE=", "b": 1}, {}, None, 5):
        assert unwrap_bytes(other) == other


@pytest.mark.parametrize("code", sorted(errors.BY_CODE))
def test_every_code_is_its_exception_with_its_members(code: str) -> None:
    sent = errors.BY_CODE[code]("what", cause="why", worker="w", execution_id="e", suggestion="s")
    body = json.dumps(sent.to_problem()).encode()

    with pytest.raises(errors.PythonPoolError) as caught:
        value_of(sent.status, PROBLEM, body)

    assert type(caught.value) is errors.BY_CODE[code]
    assert caught.value.to_problem() == sent.to_problem()


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        (302, errors.Internal, "not_started"),
        (401, errors.Unauthenticated, "not_started"),
        (413, errors.PayloadTooLarge, "not_started"),
        (502, errors.Internal, "unknown"),
        (503, errors.Unavailable, "unknown"),
        (504, errors.Internal, "unknown"),
    ],
)
def test_a_proxys_own_answer_promises_nothing(
    status: int, kind: type[errors.PythonPoolError], outcome: str
) -> None:
    """A proxy's 504 is not our `timeout`: nobody has said that the command was killed."""
    with pytest.raises(errors.PythonPoolError) as caught:
        value_of(status, {"Content-Type": "text/html"}, b"<h1>sorry</h1>")

    assert type(caught.value) is kind
    assert caught.value.outcome == outcome
    assert "<h1>sorry</h1>" in caught.value.detail


def test_a_broken_connection_says_honestly_what_may_have_run() -> None:
    call = rest.execute(rest.pool_place("a"), "b", None, Limits(), stream=False)

    lost = connection_lost("http://a", call, "reset")
    read = connection_lost("http://a", rest.list_pools(), "reset")

    assert no_connection("http://a", "refused").outcome == "not_started"
    assert (type(lost), lost.outcome) == (errors.Internal, "unknown")
    assert (type(read), read.outcome) == (errors.Unavailable, "not_started")
