"""What a call leaves behind is ended with it; and calls in threads."""

from collections.abc import Iterator

import pytest
from spoken_executor import Executor, is_alive, until

from pythonpool.messages import RETIRE, Kind


@pytest.fixture
def executor() -> Iterator[Executor]:
    """An executor with process isolation."""
    made = Executor("troubles:Troubles")
    assert made.opened()[0] == Kind.READY
    yield made
    made.close()


@pytest.fixture
def threads() -> Iterator[Executor]:
    """An executor with three threads."""
    made = Executor("troubles:Troubles", isolation="thread", concurrency=3)
    assert made.opened()[0] == Kind.READY
    yield made
    made.close()


@pytest.mark.parametrize("how", ["plain", "setsid", "daemon"])
def test_children_of_a_finished_call_are_dead_with_its_answer(executor: Executor, how: str) -> None:
    """However they hide, and although they ignore SIGTERM."""
    answer = executor.call("spawn", {"how": how, "count": 3})

    assert [pid for pid in answer.value if is_alive(pid)] == []
    assert answer.flags & RETIRE == 0


def test_children_of_a_session_live_on(executor: Executor) -> None:
    """Until the session ends, which ends its executor."""
    executor.open_session("s")

    (pid,) = executor.call("spawn", {}, session="s").value
    executor.call("count", session="s")

    assert is_alive(pid)
    executor.close_session("s")
    executor.call("length_of", {"text": ""})
    assert not is_alive(pid)


def test_a_fork_that_comes_back_is_not_heard(executor: Executor) -> None:
    """One call, one answer, from the one process that was asked."""
    assert executor.call("fork_and_return").value > 0
    assert executor.call("who").value["pid"] == executor.process.pid


def test_an_alarm_that_was_left_kills_nobody(executor: Executor) -> None:
    """The next call is somebody else's."""
    executor.call("leave_alarm", {"seconds": 0.05})

    assert executor.call("sleep", {"seconds": 0.15}).code == "ok"


def test_a_task_that_was_left_is_cancelled(executor: Executor) -> None:
    """It does not go on when the next call runs the loop."""
    executor.call("leave_task")

    assert executor.call("async_sleep", {"seconds": 0}).code == "ok"


def test_threads_run_calls_side_by_side(threads: Executor) -> None:
    """A short call overtakes a long one."""
    long = threads.send("polite", {"seconds": 20})
    short = threads.call("who")

    assert short.value["pid"] == threads.process.pid
    threads.cancel(long)
    assert threads.wait(long).value == "cancelled"


def test_a_cancel_is_for_one_call_alone(threads: Executor) -> None:
    """Its neighbour goes on."""
    first, second = (threads.send("polite", {"seconds": s}) for s in (20, 0.2))
    threads.cancel(first)

    assert threads.wait(first).value == "cancelled"
    assert threads.wait(second).value == "slept"


def test_async_calls_run_side_by_side_in_threads(threads: Executor) -> None:
    """On one loop, so that they can share what is bound to it."""
    first = threads.send("async_sleep", {"seconds": 0.5})
    second = threads.send("async_sleep", {"seconds": 0})

    assert threads.wait(second, first).value["slept"] == 0
    assert threads.wait(first).value["slept"] == 0.5


def test_a_cancel_ends_one_async_call_in_threads(threads: Executor) -> None:
    """The process need not be killed, so its neighbours live."""
    first, second = (threads.send("async_sleep", {"seconds": s}) for s in (20, 0.3))
    threads.cancel(first)

    assert threads.wait(first).value["exception"]["type"] == "CancelledError"
    assert threads.wait(second).value["slept"] == 0.3


def test_errors_of_async_calls_in_threads(threads: Executor) -> None:
    """The loop outlives them; their traceback is the user's."""
    for kind in ("ValueError", "KeyboardInterrupt"):
        exception = threads.call("async_fail", {"kind": kind}).value["exception"]
        assert exception["type"] == kind
        assert "troubles.py" in exception["traceback"].splitlines()[1]
    with pytest.raises(EOFError):
        threads.call("async_fail", {"kind": "SystemExit"})
    assert threads.process.wait(20) == 1


@pytest.mark.parametrize("how", ["plain", "daemon"])
def test_children_of_a_thread_are_ended_too(threads: Executor, how: str) -> None:
    """Those of the calls beside it are not."""
    (pid,) = threads.call("spawn", {"how": how}).value

    until(lambda: not is_alive(pid))


def test_exit_in_a_thread_ends_the_process(threads: Executor) -> None:
    """Neighbours get neighbour_killed from the agent."""
    with pytest.raises(EOFError):
        threads.call("exit", {"code": 5})

    assert threads.process.wait(20) == 5
