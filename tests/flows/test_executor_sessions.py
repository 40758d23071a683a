"""Sessions in an executor: their state, its snapshots, what goes wrong with them."""

import json
from collections.abc import Callable, Iterator

import pytest
from spoken_executor import Executor

from pythonpool.messages import TOO_LARGE, Kind

Start = Callable[..., Executor]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start executors that are closed after the test."""
    made: list[Executor] = []

    def start(spec: str = "troubles:Troubles", **settings: object) -> Executor:
        made.append(Executor(spec, **settings))
        assert made[-1].opened()[0] == Kind.READY
        return made[-1]

    yield start
    for executor in made:
        executor.close()


def test_state_is_kept_and_handed_over_after_each_call(start: Start) -> None:
    """The snapshot goes before the answer of the same call."""
    executor = start()
    opened = executor.open_session("s", {"user": "a"})
    assert (opened.order, opened.body) == ([Kind.SNAPSHOT, Kind.RESULT], b"")
    assert opened.snapshot == b"{}"

    assert executor.call("count", session="s").value == 1
    answer = executor.call("count", {"by": 2}, session="s")

    assert answer.value == 3
    assert answer.order == [Kind.SNAPSHOT, Kind.RESULT]
    assert answer.snapshot == b'{"count":3}'
    who = executor.call("who", session="s").value
    assert (who["session"], who["session_context"]) == ("s", {"user": "a"})


def test_a_command_that_raised_has_finished(start: Start) -> None:
    """What it changed is kept."""
    executor = start()
    executor.open_session("s")

    answer = executor.call("count", {"then": "raise"}, session="s")

    assert (answer.code, answer.order) == ("command_failed", [Kind.SNAPSHOT, Kind.ERROR])
    assert answer.snapshot == b'{"count":1}'


def test_refused_args_leave_no_snapshot(start: Start) -> None:
    """Nothing ran, nothing changed."""
    executor = start()
    executor.open_session("s")

    assert executor.call("count", {"by": "x"}, session="s").order == [Kind.ERROR]


def test_a_snapshot_is_taken_up_in_another_process(start: Start) -> None:
    """`load` in place of `open_session`."""
    first, second = start(), start()
    first.open_session("s", {"user": "a"})
    snapshot = first.call("count", {"by": 41}, session="s").snapshot
    assert snapshot is not None

    assert second.open_session("s", {"user": "a"}, snapshot).code == "ok"
    assert second.call("count", session="s").value == 42


def test_snapshots_of_any_size(start: Start) -> None:
    """They are cut into frames like results, and come back whole."""
    first, second = start(), start()
    first.open_session("s")
    answer = first.call("grow_state", {"size": 500_000}, session="s")
    assert answer.snapshot is not None
    assert json.loads(answer.snapshot) == {"ballast": "x" * 500_000}

    second.open_session("s", None, answer.snapshot)
    assert second.call("count", session="s").value == 1


def test_a_state_that_is_too_large_is_not_kept(start: Start) -> None:
    """It says so after each call, with one warning, until it fits again."""
    executor = start(max_state_bytes=1000)
    executor.open_session("s")

    for _ in range(2):
        answer = executor.call("grow_state", {"size": 2000}, session="s")
        assert (answer.code, answer.snapshot_flags & TOO_LARGE) == ("ok", TOO_LARGE)
        assert answer.snapshot == b""
    fits = executor.call("grow_state", {"size": 10}, session="s")
    assert (fits.snapshot_flags, fits.snapshot) == (0, b'{"ballast":"xxxxxxxxxx"}')

    executor.channel.close()
    _, errors = executor.process.communicate(timeout=20)
    assert errors.count(b"maxStateBytes is 1000") == 1


def test_a_state_that_json_does_not_have_is_not_kept(start: Start) -> None:
    """The command is none the worse; but an older state must not come back."""
    executor = start()
    executor.open_session("s")

    answer = executor.call("odd_state", session="s")

    assert (answer.code, answer.snapshot_flags & TOO_LARGE) == ("ok", TOO_LARGE)


def test_save_and_load_have_their_own_form(start: Start) -> None:
    """Bytes that only the adapter reads."""
    first, second = start("troubles:Savers"), start("troubles:Savers")
    first.open_session("s")
    snapshot = first.call("count", {"by": 7}, session="s").snapshot
    assert snapshot == (7).to_bytes(8, "big")

    second.open_session("s", None, snapshot)
    assert second.call("count", session="s").value == 8


def test_without_persistence_there_are_no_snapshots(start: Start) -> None:
    """And no cost of making them."""
    executor = start(persistence="None")
    executor.open_session("s")

    assert executor.call("count", session="s").order == [Kind.RESULT]


def test_a_session_that_is_not_open(start: Start) -> None:
    """An agent that asks for one has a defect; the call does not run on a state of nobody's."""
    executor = start()

    broken = executor.call("count", session="s")

    assert (broken.code, broken.value["outcome"]) == ("internal", "not_started")


def test_load_that_raises_is_command_failed(start: Start) -> None:
    """A snapshot that is none."""
    executor = start()

    answer = executor.open_session("s", None, b"{")

    assert answer.code == "command_failed"
    assert answer.value["detail"].startswith("load raised JSONDecodeError")


def test_closing_ends_the_state(start: Start) -> None:
    """A session of the same id begins anew."""
    executor = start()
    executor.open_session("s")
    executor.call("count", session="s")

    assert executor.close_session("s").body == b""
    assert executor.close_session("s").code == "ok"
    executor.open_session("s")

    assert executor.call("count", session="s").value == 1
