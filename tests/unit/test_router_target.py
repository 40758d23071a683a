"""Request targets: what they ask for, and what is wrong with them."""

import pytest

from pythonpool.names import SessionHandle
from pythonpool_router.target import known_target, parse_target

SESSION = SessionHandle.new("general", "general-abcde", "0123456789abcdef")


def test_the_three_execute_paths() -> None:
    """Pool, command and session stand in the path."""
    target = parse_target(b"/v1/pools/general/execute/echo")
    assert (target.is_execute, target.pool, target.command) == (True, "general", "echo")
    target = parse_target(b"/v1/execute/dspy.predict")
    assert (target.is_execute, target.pool, target.command) == (True, "", "dspy.predict")
    target = parse_target(f"/v1/sessions/{SESSION}/execute/echo".encode())
    assert (target.session, target.error) == (SESSION, None)


def test_everything_else_is_cold() -> None:
    """Its query is the application's matter."""
    for raw in (b"/", b"/v1/pools?x=1&x=2", b"/v1/pools/general/execute", b"/v1/pools/a/b/c"):
        target = parse_target(raw)
        assert (target.is_execute, target.error) == (False, None), raw


def test_times() -> None:
    """Decimals of seconds; milliseconds inside."""
    target = parse_target(b"/v1/execute/echo?timeout=1.5&queue_timeout=0")
    assert (target.timeout_ms, target.queue_timeout) == (1500, 0.0)
    target = parse_target(b"/v1/execute/echo?queue%5ftimeout=3600")
    assert (target.timeout_ms, target.queue_timeout) == (None, 3600.0)
    assert parse_target(b"/v1/execute/echo?timeout=0.001").timeout_ms == 1
    assert parse_target(b"/v1/execute/echo?timeout=0.30000000000000004").timeout_ms == 300
    assert parse_target(b"/v1/execute/echo?").error is None


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"/v1/execute/echo?timeout=0.0001", "0.001"),
        (b"/v1/execute/echo?timeout=", "decimal"),
        (b"/v1/execute/echo?timeout=nan", "decimal"),
        (b"/v1/execute/echo?timeout=1e3", "exponent"),
        (b"/v1/execute/echo?queue_timeout=1e-05", "exponent"),
        (b"/v1/execute/echo?timeout=86400.001", "86400.001, it must be from 0.001 to 86400"),
        (b"/v1/execute/echo?timeout=1_0", "decimal"),
        (b"/v1/execute/echo?timeout=+1", "decimal"),
        (b"/v1/execute/echo?timeout=-1", "decimal"),
        (b"/v1/execute/echo?timeout=%D9%A1", "decimal"),
        (b"/v1/execute/echo?queue_timeout=3600.1", "3600"),
        (b"/v1/execute/echo?timeout=1&&", "unknown"),
        (b"/v1/execute/echo?Timeout=1", "unknown"),
        (b"/v1/execute/echo?timeout=1&timeout=1", "more than once"),
        (b"/v1/pools/UP/execute/echo", "pool name"),
        (b"/v1/pools/%2e%2e/execute/echo", "not allowed"),
        (b"/v1/pools/general/execute/9", "command name"),
        (b"/v1/pools/general/execute/__class__", "command name"),
        (b"/v1/pools/general/execute/a%0ab", "not allowed"),
        (b"/v1/pools/general/execute/%ff", "UTF-8"),
        (b"/v1/pools/general/execute/%e", "hexadecimal"),
        (b"/v1/execute/echo#part", "path and a query"),
        (b"http://localhost/v1/execute/echo", "path and a query"),
        (b"*", "path and a query"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, word: str) -> None:
    """One line that says which value, and what it must be."""
    error = parse_target(raw).error
    assert error is not None
    assert error.code == "invalid_argument"
    assert word in error.detail


def test_a_handle_that_is_none_is_not_found() -> None:
    """So that ids can not be told apart by their form."""
    error = parse_target(b"/v1/sessions/abc/execute/echo").error
    assert error is not None
    assert error.code == "session_not_found"


def test_a_wrong_query_is_told_before_the_session_is_looked_for() -> None:
    """400 also where its pool, worker or the session itself is gone."""
    for query in (b"timeout=86401", b"queue_timeout=3601", b"timeout=0"):
        error = parse_target(f"/v1/sessions/{SESSION}/execute/echo?".encode() + query).error
        assert error is not None
        assert error.code == "invalid_argument", query


def test_targets_are_remembered_within_bounds() -> None:
    """The same few are read once; sessions and mistakes are not kept."""
    assert known_target(b"/v1/execute/echo") is known_target(b"/v1/execute/echo")
    raw = f"/v1/sessions/{SESSION}/execute/echo".encode()
    assert known_target(raw) is not known_target(raw)
    first = known_target(b"/v1/execute/first")
    for number in range(1100):
        known_target(b"/v1/execute/c%d" % number)
    assert known_target(b"/v1/execute/first") is not first
