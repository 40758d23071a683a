"""An executor on its channel: calls, their errors, their results."""

import json
import mmap
import os
from collections.abc import Iterator
from typing import Any

import pytest
from spoken_executor import Executor, until

from pythonpool.messages import OCTETS, Kind


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """One executor for all calls that leave it as it was."""
    made = Executor("troubles:Troubles", max_result_bytes=1_000_000)
    assert made.opened()[0] == Kind.READY
    yield made
    made.close()


def test_a_result_is_the_body(executor: Executor) -> None:
    """The args go in as JSON, the result comes out as JSON, and the time is the executor's own."""
    answer = executor.call("length_of", {"text": "four"})

    assert (answer.value, answer.order) == (4, [Kind.RESULT])
    assert 0 < answer.run_us < 10_000_000


def test_bytes_go_both_ways_as_they_are(executor: Executor) -> None:
    """No JSON around a body of bytes, however many frames it takes."""
    assert executor.call("count_bytes", b"\0" * 300_000).value == 300_000
    assert executor.call("count_bytes").value == 0

    answer = executor.call("big_bytes", {"size": 200_000})
    assert (answer.flags & OCTETS, answer.body) == (OCTETS, bytes(200_000))


@pytest.mark.parametrize("size", [65_526, 65_527, 65_528, 131_063, 131_064, 500_000])
def test_results_are_cut_into_frames(executor: Executor, size: int) -> None:
    """Around each frame's edge the body comes whole."""
    assert len(executor.call("big_result", {"size": size}).body) == size


@pytest.mark.parametrize("size", [65_400, 65_536, 131_072, 400_000])
def test_args_come_in_several_frames(executor: Executor, size: int) -> None:
    """The same for what goes in."""
    assert executor.call("length_of", {"text": "x" * size}).value == size


def test_a_result_over_the_limit_is_an_error(executor: Executor) -> None:
    """It says both figures; the limit itself fits."""
    assert len(executor.call("big_result", {"size": 1_000_000}).body) == 1_000_000

    for command in ("big_result", "big_bytes"):
        answer = executor.call(command, {"size": 1_000_001})
        assert (answer.code, answer.value["outcome"]) == ("result_too_large", "finished")
        assert "1000001" in answer.value["detail"]
        assert "1000000" in answer.value["detail"]


def test_bad_args_never_reach_the_command(executor: Executor) -> None:
    """The field, its value, what it must be."""
    answer = executor.call("length_of", {"text": 5})

    assert (answer.code, answer.value["outcome"]) == ("invalid_argument", "not_started")
    assert answer.value["detail"] == "length_of: text 5 must be text"


def test_an_unknown_command_names_its_neighbours(executor: Executor) -> None:
    """A typing mistake costs no search."""
    answer = executor.call("slep", {})

    assert (answer.code, answer.value["outcome"]) == ("command_not_found", "not_started")
    assert "sleep" in answer.value["detail"]


@pytest.mark.parametrize(
    "kind", ["ValueError", "KeyError", "KeyboardInterrupt", "GeneratorExit", "RecursionError"]
)
def test_whatever_a_command_raises_is_command_failed(executor: Executor, kind: str) -> None:
    """Also what is no Exception; the executor goes on."""
    answer = executor.call("fail", {"kind": kind, "message": "why"})

    assert (answer.code, answer.value["outcome"]) == ("command_failed", "finished")
    assert answer.value["exception"]["type"] == kind
    assert "why" in answer.value["exception"]["message"]
    assert executor.call("length_of", {"text": "a"}).value == 1


def test_the_traceback_begins_at_the_users_code(executor: Executor) -> None:
    """Our own frames say nothing to the one who reads it; nor do those of the event loop."""
    for command, args in (("fail", {}), ("fail_midway", {"n": 1}), ("async_fail", {})):
        exception = executor.call(command, args).value["exception"]
        assert "troubles.py" in exception["traceback"].splitlines()[1]
        assert "pythonpool_worker" not in exception["traceback"]


def test_messages_are_cut_at_16_kib(executor: Executor) -> None:
    """A megabyte of message neither floods the caller nor breaks the frame, escaped or not."""
    for text in ("x" * 100_000, "\0" * 100_000):
        exception = executor.call("fail", {"message": text}).value["exception"]
        assert len(exception["message"].encode()) <= 16_384
        assert len(exception["traceback"].encode()) <= 16_384


def test_a_memory_error_is_out_of_memory(executor: Executor) -> None:
    """The command let it through: it is finished and the executor is kept."""
    answer = executor.call("fail", {"kind": "MemoryError"})

    assert (answer.code, answer.value["outcome"]) == ("out_of_memory", "finished")
    assert answer.value["peak_bytes"] > 1_000_000
    assert executor.call("length_of", {"text": "a"}).value == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("nan", {"a": None, "b": [None]}),
        ("bytes", {"data": {"$bytes": "AAE="}}),
        ("huge", 2**70),
    ],
)
def test_odd_results_become_json(executor: Executor, kind: str, body: Any) -> None:
    """What has a sensible form gets it."""
    assert executor.call("odd_result", {"kind": kind}).value == body


@pytest.mark.parametrize("kind", ["object", "cycle", "surrogate"])
def test_what_json_can_not_carry_is_a_type_error(executor: Executor, kind: str) -> None:
    """The command ran, and it is its own mistake."""
    answer = executor.call("odd_result", {"kind": kind})

    assert (answer.code, answer.value["exception"]["type"]) == ("command_failed", "TypeError")


def test_async_commands_share_one_loop(executor: Executor) -> None:
    """Objects bound to the loop, such as clients, live on from call to call."""
    assert executor.call("async_sleep", {"seconds": 0}).value["slept"] == 0
    assert executor.call("async_sleep", {"seconds": 0.001}).value["slept"] == 0.001


def test_a_generator_without_a_stream_is_a_list(executor: Executor) -> None:
    """Plain and async ones alike."""
    assert executor.call("count_to", {"n": 3}).value == [1, 2, 3]
    assert executor.call("async_count_to", {"n": 3}).value == [1, 2, 3]


def test_a_stream_begins_yields_and_ends(executor: Executor) -> None:
    """BEGIN, then each value, then null."""
    for command in ("count_to", "async_count_to"):
        answer = executor.call(command, {"n": 3}, stream=True)
        assert answer.order[0] == Kind.BEGIN
        assert (answer.chunks, answer.value) == ([1, 2, 3], None)


def test_a_stream_that_is_refused_does_not_begin(executor: Executor) -> None:
    """So that the caller gets an ordinary answer with its own status."""
    assert executor.call("count_to", {"n": "x"}, stream=True).order == [Kind.ERROR]


def test_a_stream_that_fails_midway(executor: Executor) -> None:
    """What was yielded has been sent."""
    answer = executor.call("fail_midway", {"n": 2}, stream=True)

    assert (answer.chunks, answer.code) == ([1, 2], "command_failed")


def test_progress_floods_nobody_and_ends_with_the_last(executor: Executor) -> None:
    """A tight loop of reports becomes a few."""
    answer = executor.call("report", {"times": 5000}, stream=True)

    assert answer.progress[-1] == {"fraction": 1.0, "number": 5000}
    assert len(answer.progress) <= 2 + answer.run_us // 20_000
    assert executor.call("report", {"times": 5}).progress == []


def test_a_cancel_is_seen_by_the_command(executor: Executor) -> None:
    """Also one that stood in the channel before the command asked."""
    number = executor.send("polite", {"seconds": 20})
    executor.cancel(number)

    assert executor.wait(number).value == "cancelled"
    assert executor.call("polite", {"seconds": 0.03}).value == "slept"


def test_a_cancel_ends_an_async_command(executor: Executor) -> None:
    """Its task is cancelled; the next call is not."""
    number = executor.send("async_sleep", {"seconds": 20})
    executor.cancel(number)

    assert executor.wait(number).value["exception"]["type"] == "CancelledError"
    assert executor.call("async_sleep", {"seconds": 0}).code == "ok"


def test_the_context_says_what_the_call_is(executor: Executor) -> None:
    """Its id, the time that is left, no session."""
    value = executor.call("who", seconds=12.5).value

    assert value["call_id"].startswith("call-")
    assert 11 < value["seconds_left"] <= 12.5
    assert (value["session"], value["pid"]) == (None, executor.process.pid)


@pytest.mark.parametrize(
    ("args", "status"), [({"code": 7}, 7), ({"code": 3, "hard": True}, 3), ({"code": 0}, 0)]
)
def test_exit_ends_the_process_with_its_code(args: dict[str, Any], status: int) -> None:
    """The agent sees the end of the channel, the keeper the code."""
    executor = Executor("troubles:Troubles")
    executor.opened()

    with pytest.raises(EOFError):
        executor.call("exit", args)

    executor.process.wait(20)
    assert executor.process.returncode == status
    executor.close()


def test_an_adapter_that_does_not_open_says_why() -> None:
    """FAILED instead of READY, and exit code 1."""
    executor = Executor("troubles:Troubles", config={"open": "raise"})

    kind, _, payload = executor.opened()

    assert kind == Kind.FAILED
    assert json.loads(payload) == {"reason": "open() raised RuntimeError: on purpose"}
    assert executor.process.wait(20) == 1
    executor.close()


def test_the_end_of_the_channel_closes_the_adapter() -> None:
    """Exit code 0, in peace."""
    executor = Executor("shop:Shop")
    executor.opened()
    assert executor.call("price", {"item": "tea", "count": 2}).value == 5.0

    executor.channel.close()

    assert executor.process.wait(20) == 0
    executor.close()


def test_the_label_page_names_the_running_call() -> None:
    """So that the keeper knows whose line it reads; before and after it is empty."""
    descriptor = os.memfd_create("label")
    os.ftruncate(descriptor, 4096)
    with mmap.mmap(descriptor, 4096) as page:
        executor = Executor("troubles:Troubles", label_fd=descriptor)
        executor.opened()
        assert page[0] == 0

        number = executor.send("polite", {"seconds": 20})
        until(lambda: page[0] > 0)
        assert page[1 : 1 + page[0]] == b"call-%d" % number
        executor.cancel(number)
        executor.wait(number)

        assert executor.process.stdout is not None
        os.set_blocking(executor.process.stdout.fileno(), False)
        until(lambda: page[0] == 0)
        executor.close()
    os.close(descriptor)


def test_what_a_call_printed_is_out_before_the_next_begins(executor: Executor) -> None:
    """Python's buffer does not hold lines back until somebody else's call."""
    executor.call("say", {"text": "a line"})
    executor.call("length_of", {"text": ""})

    assert executor.process.stdout is not None
    assert executor.process.stdout.readline() == b"a line\n"
