"""API.md 2.2, 1 and 2: a call runs at most once, and when its time is up it is dead."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flows.house import House, open_house, processes_below, wait_for
from flows.parts import Beside, lines, read_answer, run_milliseconds, stack_of, tree
from flows.whole import Asker, beside_examples, is_alive, troubles

POOLS = (
    troubles("one"),
    troubles("finish", "onDisconnect: Finish"),
    troubles("pair", "replicas: 2"),
    troubles("threads", "isolation: thread\nconcurrency: 2"),
)
ANSWERED_MS = 250
"""After the deadline, as promised."""
LOAD_MS = 750
"""What a loaded machine may add in these tests; the promise is measured by the benchmarks."""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    opened = open_house(home, [beside_examples(home / "files", *POOLS)])
    yield opened
    assert opened.close() == 0
    assert list((home / "run").iterdir()) == []
    shutil.rmtree(home)


@pytest.fixture
def asker(house: House) -> Asker:
    return Asker(house)


@pytest.fixture
def beside(asker: Asker) -> Iterator[Beside]:
    with ThreadPoolExecutor(8) as threads:
        yield Beside(asker, threads)


# At most once


@pytest.mark.parametrize(("times", "status", "runs"), [(1, 200, 2), (9, 502, 2)])
def test_an_idempotent_command_may_run_twice(
    asker: Asker, tmp_path: Path, times: int, status: int, runs: int
) -> None:
    """After worker_crashed it is run again, once."""
    journal = tmp_path / "journal"
    answer = asker.run("pair", "die_first", {"path": str(journal), "times": times})

    assert answer.status == status
    assert len(lines(journal)) == runs


def test_any_other_command_runs_once(asker: Asker, beside: Beside, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    args = {"path": str(journal), "line": "a", "seconds": 30}
    pid = asker.run("one", "who").json["pid"]
    answer = beside.run("one", "journal", args)
    wait_for(lambda: lines(journal))
    os.kill(pid, signal.SIGKILL)

    assert answer.result().code == "worker_crashed"
    assert answer.result().json["outcome"] == "unknown"
    assert asker.run("one", "sleep", {"seconds": 0}).status == 200
    assert lines(journal) == ["begin a"]


# Killed


ZOO: list[tuple[str, dict[str, Any], int]] = [
    ("spin", {"seconds": 60}, 0),
    ("sleep", {"seconds": 60}, 0),
    ("async_sleep", {"seconds": 60}, 0),
    ("c_call", {}, 0),
    ("gil_call", {}, 0),
    ("swallow", {"seconds": 60}, 0),
    ("ignore_sigterm", {"seconds": 60}, 0),
    ("stop_self", {}, 0),
    ("spawn_and_wait", {"how": "plain"}, 1),
    ("spawn_and_wait", {"how": "setsid"}, 1),
    ("spawn_and_wait", {"how": "daemon"}, 1),
]


@pytest.mark.parametrize(("command", "args", "children"), ZOO)
def test_a_deadline_kills(
    asker: Asker, beside: Beside, command: str, args: dict[str, Any], children: int
) -> None:
    """All of it is dead within a second, the answer comes in time, the slot takes the next."""
    pid = asker.run("one", "who").json["pid"]
    seconds = 2.0 if children else 0.5  # a spawned interpreter takes its time
    sent = time.monotonic()
    answer = beside.run("one", command, args, f"timeout={seconds}")
    if children:
        wait_for(lambda: any(_sleeps(child) for child in processes_below(pid)), seconds)
    doomed = [pid, *processes_below(pid)]
    late = answer.result()

    assert late.code == "timeout"
    assert run_milliseconds(late) <= seconds * 1000 + ANSWERED_MS + LOAD_MS
    wait_for(lambda: not any(map(is_alive, doomed)), sent + seconds + 2 - time.monotonic())
    after = asker.run("one", "who")
    assert after.json["pid"] not in doomed
    assert len(doomed) > children


def _sleeps(pid: int) -> bool:
    """Whether a spawned child has come to its sleep."""
    try:
        return "time.sleep" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(("command", "line"), [("spin", "in spin"), ("gil_call", "in gil_call")])
def test_the_answer_says_where_it_was(asker: Asker, command: str, line: str) -> None:
    args = {} if command == "gil_call" else {"seconds": 60}

    assert line in stack_of(asker, "one", command, args)


@pytest.mark.parametrize("how", ["plain", "setsid", "daemon"])
def test_what_a_finished_call_left_is_ended(asker: Asker, how: str) -> None:
    left = asker.run("one", "spawn", {"how": how, "count": 2}).json

    wait_for(lambda: not any(map(is_alive, left)), 1.0)


def test_a_process_that_forked_in_a_call_is_ended(asker: Asker) -> None:
    pid = asker.run("one", "fork_and_return").json

    assert pid > 0
    wait_for(lambda: not is_alive(pid), 1.0)


def test_a_childs_life_in_a_session(asker: Asker) -> None:
    """A session's children live until it ends."""
    handle = asker.session("one")
    (child,) = asker.in_session(handle, "spawn").json
    assert asker.in_session(handle, "count").status == 200
    assert is_alive(child)

    assert asker.ask("DELETE", f"/v1/sessions/{handle}").status == 204
    wait_for(lambda: not is_alive(child), 3.0)


def test_no_late_answer_reaches_another_caller(asker: Asker) -> None:
    """Calls that end about when their time is up: each caller gets its own answer or a timeout."""
    for number in range(8):
        late = asker.run("one", "say", {"text": f"first {number}"}, "timeout=0.001")
        own = asker.run("one", "say", {"text": f"second {number}"})

        assert late.code in ("ok", "timeout")
        assert late.code == "timeout" or late.json == f"first {number}"
        assert own.json == f"second {number}"


def test_a_kill_with_threads_takes_the_neighbours(asker: Asker, beside: Beside) -> None:
    neighbour = beside.run("threads", "sleep", {"seconds": 30})
    wait_for(lambda: asker.pool("threads")["busy"] == 1)

    assert asker.run("threads", "spin", {"seconds": 30}, "timeout=0.3").code == "timeout"
    assert neighbour.result().json["cause"] == "neighbour_killed"
    assert asker.run("threads", "sleep", {"seconds": 0}).status == 200


# The caller has gone


def test_a_caller_that_goes_ends_its_call(asker: Asker) -> None:
    pid = asker.run("one", "who").json["pid"]
    with asker.held("one", "spawn_and_wait", {}):
        wait_for(lambda: any(_sleeps(child) for child in processes_below(pid)))
        doomed = [pid, *processes_below(pid)]

    wait_for(lambda: not any(map(is_alive, doomed)), 2.0)
    assert asker.run("one", "sleep", {"seconds": 0}).status == 200


def test_a_polite_command_stops_by_itself(asker: Asker) -> None:
    """It sees `is_cancelled` before it is killed, and its process is kept."""
    pid = asker.run("one", "who").json["pid"]
    with asker.held("one", "polite", {"seconds": 30}):
        wait_for(lambda: asker.pool("one")["busy"] == 1)
    wait_for(lambda: asker.pool("one")["busy"] == 0)

    assert asker.run("one", "who").json["pid"] == pid


def test_with_finish_it_runs_to_its_end(asker: Asker, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    args = {"path": str(journal), "line": "a", "seconds": 0.5}
    with asker.held("finish", "journal", args):
        wait_for(lambda: lines(journal))

    wait_for(lambda: lines(journal) == ["begin a", "end a"], 3.0)


# kill -9 of each part: what callers see, and that capacity returns


def test_kill_an_executor(asker: Asker, beside: Beside) -> None:
    pid = asker.run("one", "who").json["pid"]
    answer = beside.run("one", "sleep", {"seconds": 30})
    wait_for(lambda: asker.pool("one")["busy"] == 1)
    os.kill(pid, signal.SIGKILL)

    problem = answer.result(5).json
    assert (problem["code"], problem["cause"]) == ("worker_crashed", "signal:9")
    assert asker.run("one", "sleep", {"seconds": 0}).status == 200


def test_kill_the_standby_and_the_template(asker: Asker) -> None:
    """Nobody notices; and after the next death there is an executor again."""
    pid = asker.run("one", "who").json["pid"]
    wait_for(lambda: len(tree(asker.house, "one").executors) > 1)
    before = tree(asker.house, "one")
    for victim in (*(before.executors - {pid}), before.template):
        os.kill(victim, signal.SIGKILL)

    assert asker.run("one", "who").json["pid"] == pid
    assert asker.run("one", "exit", {"hard": True}).json["cause"] == "exit:1"
    assert asker.run("one", "sleep", {"seconds": 0}, "queue_timeout=10").status == 200
    wait_for(lambda: tree(asker.house, "one").template != before.template)


def test_kill_the_keeper(asker: Asker, beside: Beside) -> None:
    answer = beside.run("one", "sleep", {"seconds": 30})
    wait_for(lambda: asker.pool("one")["busy"] == 1)
    before = tree(asker.house, "one")
    os.kill(before.keeper, signal.SIGKILL)

    assert answer.result(10).code == "worker_crashed"
    wait_for(lambda: not any(map(is_alive, before.executors)), 1.0)
    wait_for(lambda: asker.pool("one")["available"] == 1, 20)
    assert asker.run("one", "sleep", {"seconds": 0}).status == 200


def test_kill_the_agent(asker: Asker, beside: Beside) -> None:
    answer = beside.run("one", "sleep", {"seconds": 30})
    wait_for(lambda: asker.pool("one")["busy"] == 1)
    before = tree(asker.house, "one")
    os.kill(before.agent, signal.SIGKILL)

    problem = answer.result(10).json
    assert (problem["code"], problem["cause"]) == ("worker_crashed", "link_lost")
    wait_for(lambda: not any(map(is_alive, (before.keeper, *before.executors))), 5)
    wait_for(lambda: asker.pool("one")["available"] == 1, 20)
    assert asker.run("one", "sleep", {"seconds": 0}).status == 200


def test_kill_the_router(asker: Asker) -> None:
    """It is back on its socket, and all workers find it; sessions have not noticed."""
    handle = asker.session("one")
    asker.in_session(handle, "count")
    with asker.held("finish", "sleep", {"seconds": 0.3}) as connection:
        wait_for(lambda: asker.pool("finish")["busy"] == 1)
        os.kill(asker.house.record("up.json")["routers"][0]["pid"], signal.SIGKILL)
        with pytest.raises(OSError, match=r"."):
            read_answer(connection)

    wait_for(lambda: _counts(asker, handle) == 2, 10)


def _counts(asker: Asker, handle: str) -> int:
    try:
        answer = asker.in_session(handle, "count")
    except OSError:
        return 0
    return int(answer.json) if answer.status == 200 else 0
