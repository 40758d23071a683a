"""API.md 2.2, 3, 5 and 6: sessions end honestly, workers drain, routers can be lost."""

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
from flows.house import House, manifest, open_house, wait_for
from flows.parts import Beside, RouterAsker, lines, read_answer, tree
from flows.whole import Answer, Asker, beside_examples, is_alive, troubles

POOLS = (
    troubles("kept", "concurrency: 2\nsessions: {maxTtlSeconds: 100, ttlSeconds: 50}"),
    troubles("none", "sessions: {persistence: None}"),
    troubles("tiny", "sessions: {maxStateBytes: 1Ki}"),
    manifest("savers", "{adapter: 'troubles:Savers'}"),
    troubles("drains", "replicas: 2\nsessions: {drainSeconds: 3}"),
)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One `up` with two routers."""
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    opened = open_house(home, [beside_examples(home / "files", *POOLS)], "--routers", "2")
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


def lost(answer: Answer) -> str:
    """Why the session of this answer is lost."""
    assert (answer.status, answer.code) == (410, "session_lost"), answer.body
    cause: str = answer.json["cause"]
    return cause


# Calls of a session


def test_one_after_the_other(asker: Asker, beside: Beside, tmp_path: Path) -> None:
    """Although the worker has two slots, and callers come through two routers."""
    handle = asker.session("kept")
    journal = tmp_path / "journal"
    args = {"path": str(journal), "seconds": 0.1}
    calls = [beside.in_session(handle, "journal", {**args, "line": str(n)}) for n in range(6)]

    assert {call.result().status for call in calls} == {200}
    said = lines(journal)
    assert len(said) == 12
    for begin, end in zip(said[::2], said[1::2], strict=True):
        assert (begin.split()[0], end.split()[0]) == ("begin", "end")
        assert begin.split()[1] == end.split()[1]


def test_a_busy_session_is_waited_for(asker: Asker, beside: Beside) -> None:
    handle = asker.session("kept")
    running = beside.in_session(handle, "sleep", {"seconds": 1})
    wait_for(lambda: asker.pool("kept")["busy"] == 1)

    refused = asker.in_session(handle, "count", {}, "queue_timeout=0")
    assert (refused.status, refused.json["cause"]) == (429, "session_busy")
    assert refused.json["retry_after_ms"] > 0
    assert asker.in_session(handle, "count").json == 1
    assert running.result().status == 200


def test_sessions_do_not_share_and_others_have_none(asker: Asker) -> None:
    first, second = asker.session("kept"), asker.session("kept", context={"a": [1]})
    asker.in_session(first, "count", {"by": 5})

    assert asker.in_session(second, "count").json == 1
    assert asker.in_session(first, "count").json == 6
    seen = asker.in_session(second, "who").json
    assert seen["session"] == second
    assert seen["session_context"] == {"a": [1]}
    assert asker.run("kept", "who").json["session"] is None
    assert asker.in_session(first, "who").json["pid"] != seen["pid"]


# State


@pytest.mark.parametrize("pool", ["kept", "savers"])
def test_a_kill_leaves_no_trace_in_the_state(asker: Asker, pool: str) -> None:
    handle = asker.session(pool)
    assert asker.in_session(handle, "count").json == 1
    late = asker.in_session(handle, "count", {"by": 100, "then": "hang"}, "timeout=0.3")
    assert late.code == "timeout"
    assert asker.in_session(handle, "count").json == 2
    assert asker.in_session(handle, "exit", {"hard": True}).code == "worker_crashed"
    assert asker.in_session(handle, "count").json == 3


def test_a_command_that_raised_has_finished(asker: Asker) -> None:
    handle = asker.session("kept")
    assert asker.in_session(handle, "count", {"then": "raise"}).code == "command_failed"
    assert asker.in_session(handle, "exit").code == "worker_crashed"
    assert asker.in_session(handle, "count").json == 2


def test_a_kill_before_the_first_call_finds_a_new_session(asker: Asker) -> None:
    handle = asker.session("kept")
    assert asker.in_session(handle, "sleep", {"seconds": 9}, "timeout=0.2").code == "timeout"
    assert asker.in_session(handle, "count").json == 1


@pytest.mark.parametrize(("command", "cause"), [("sleep", "killed"), ("exit", "crashed")])
def test_without_persistence_it_is_lost(asker: Asker, command: str, cause: str) -> None:
    handle = asker.session("none")
    args = {"seconds": 9} if command == "sleep" else {}
    assert asker.in_session(handle, "count").json == 1
    asker.in_session(handle, command, args, "timeout=0.3")

    assert lost(asker.in_session(handle, "count")) == cause
    assert lost(asker.ask("GET", f"/v1/sessions/{handle}")) == cause


@pytest.mark.parametrize("command", ["grow_state", "odd_state"])
def test_a_state_that_can_not_be_kept(asker: Asker, command: str) -> None:
    """It is used as long as its process lives, and never replaced by an older one."""
    handle = asker.session("tiny")
    assert asker.in_session(handle, "count").json == 1
    args = {"size": 2000} if command == "grow_state" else {}
    assert asker.in_session(handle, command, args).status == 200
    assert asker.in_session(handle, "count").json == 2
    asker.in_session(handle, "sleep", {"seconds": 9}, "timeout=0.2")

    assert lost(asker.in_session(handle, "count")) == "state_too_large"


@pytest.mark.parametrize("pool", ["kept", "savers"])
def test_open_session_that_raises(asker: Asker, pool: str) -> None:
    failed = asker.ask("POST", "/v1/sessions", {"pool": pool, "context": {"open": "raise"}})

    assert (failed.status, failed.code) == (422, "command_failed")
    assert failed.json["exception"]["message"] == "on purpose"


def test_load_that_raises(asker: Asker) -> None:
    handle = asker.session("savers", context={"load": "raise"})
    assert asker.in_session(handle, "count").json == 1
    asker.in_session(handle, "sleep", {"seconds": 9}, "timeout=0.2")

    assert asker.in_session(handle, "count").code == "command_failed"
    assert asker.in_session(handle, "count").status in (404, 410)


# Its object, its time, its end


def test_what_a_session_is(asker: Asker) -> None:
    made = asker.ask("POST", "/v1/sessions", {"pool": "kept", "context": {"a": 1}})
    shown = made.json
    path = f"/v1/sessions/{shown['session_id']}"

    assert made.status == 201
    assert made.fields["location"] == path
    assert (shown["pool"], shown["ttl_seconds"], shown["draining"]) == ("kept", 50, False)
    assert shown["context"] == {"a": 1}
    assert shown["worker"] == asker.workers("kept")[0]["name"]
    again = asker.ask("GET", path).json
    assert again.keys() == shown.keys()
    listed = asker.ask("GET", "/v1/sessions?pool=kept").json
    assert listed["incomplete"] is False
    assert shown["session_id"] in [each["session_id"] for each in listed["items"]]
    assert asker.ask("DELETE", path).status == 204
    assert asker.ask("DELETE", path).code == "session_not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"pool": "kept", "ttl_seconds": 101},
        {"pool": "kept", "ttl_seconds": 0},
        {"pool": "kept", "ttl_seconds": 1.5},
        {"pool": "kept", "ttl_seconds": True},
        {"pool": "kept", "context": []},
        {"pool": "kept", "name": "x"},
        {"pool": 1},
        {},
        [],
        b"{",
        b'{"pool": "kept", "context": {"a": NaN}}',
    ],
)
def test_a_session_that_is_asked_for_wrongly(asker: Asker, body: Any) -> None:
    answer = asker.ask("POST", "/v1/sessions", body)

    assert (answer.status, answer.code) == (400, "invalid_argument")


def test_calls_renew_and_looking_does_not(asker: Asker) -> None:
    """The TTL counts from the end of the last call; a call that runs longer does not expire."""
    handle = asker.session("kept", ttl_seconds=1)
    began = time.monotonic()
    assert asker.in_session(handle, "sleep", {"seconds": 1.3}).status == 200
    assert asker.in_session(handle, "count").json == 1
    assert time.monotonic() - began > 1

    path = f"/v1/sessions/{handle}"
    renewed = time.monotonic()
    wait_for(lambda: asker.ask("GET", path).code == "session_expired", 3)
    assert time.monotonic() - renewed >= 0.9
    assert asker.in_session(handle, "count").code == "session_expired"


def test_ids_that_are_not_there(asker: Asker) -> None:
    pool, worker, incarnation, secret = asker.session("kept").split(".")

    for malformed in ("x", f"{pool}.{worker}.{secret}", f"{pool}.{worker}.{incarnation}.zz"):
        assert asker.in_session(malformed, "count").code == "session_not_found"
        assert asker.ask("GET", f"/v1/sessions/{malformed}").code == "session_not_found"
    for unknown in (
        f"{pool}.{worker}.{'0' * len(incarnation)}.{secret}",
        f"{pool}.kept-00000.{incarnation}.{secret}",
        f"nopool.{worker}.{incarnation}.{secret}",
    ):
        assert lost(asker.in_session(unknown, "count")) == "worker_gone"
        assert lost(asker.ask("GET", f"/v1/sessions/{unknown}")) == "worker_gone"
        assert lost(asker.ask("DELETE", f"/v1/sessions/{unknown}")) == "worker_gone"
    guessed = f"{pool}.{worker}.{incarnation}.{'0' * len(secret)}"
    assert asker.in_session(guessed, "count").code == "session_not_found"


def test_deleting_ends_what_runs_and_what_waits(asker: Asker, beside: Beside) -> None:
    """Calls that wait at the other router too."""
    handle = asker.session("kept")
    path = f"/v1/sessions/{handle}/execute/"
    others = [RouterAsker(asker.house, index) for index in (0, 1)]
    running = beside.in_session(handle, "spin", {"seconds": 20})
    wait_for(lambda: asker.pool("kept")["busy"] == 1)
    waiting = [beside.threads.submit(other.ask, "POST", path + "count", {}) for other in others]
    wait_for(lambda: all(other.pool("kept")["queued"] == 1 for other in others))

    assert asker.ask("DELETE", f"/v1/sessions/{handle}").status == 204
    assert [call.result(3).code for call in waiting] == ["session_not_found"] * 2
    assert running.result(3).code == "cancelled"
    wait_for(lambda: asker.pool("kept")["busy"] == 0)


# Draining and recycling


def test_a_draining_worker(asker: Asker, beside: Beside) -> None:
    """Running calls finish, sessions go on for a while, new calls go elsewhere."""
    wait_for(lambda: asker.pool("drains")["available"] == 2)
    handle = asker.session("drains")
    asker.in_session(handle, "count")
    name = handle.split(".")[1]
    pids = {row["name"]: row["pid"] for row in asker.workers("drains")}
    running = beside.in_session(handle, "sleep", {"seconds": 1})
    wait_for(lambda: asker.pool("drains")["busy"] == 1)
    os.kill(pids[name], signal.SIGTERM)
    wait_for(lambda: _state(asker, "drains", name) == "draining")

    assert running.result().status == 200
    assert asker.in_session(handle, "count").json == 2
    assert asker.ask("GET", f"/v1/sessions/{handle}").json["draining"] is True
    new = [asker.run("drains", "sleep", {"seconds": 0}) for _ in range(4)]
    assert name not in {call.fields["pythonpool-worker"] for call in new}
    assert asker.session("drains").split(".")[1] != name
    wait_for(lambda: asker.in_session(handle, "count").status == 410, 6)
    assert lost(asker.in_session(handle, "count")) in ("drained", "worker_gone")
    wait_for(lambda: not is_alive(pids[name]), 3)
    wait_for(lambda: asker.pool("drains")["available"] == 2, 20)


def _state(asker: Asker, pool: str, name: str) -> str | None:
    states = {row["name"]: row["state"] for row in asker.workers(pool)}
    return states.get(name)


def test_recycling_waits_for_calls(asker: Asker, beside: Beside) -> None:
    (before,) = [row["name"] for row in asker.workers("none")]
    running = [beside.run("none", "sleep", {"seconds": 1}) for _ in range(3)]
    wait_for(lambda: asker.pool("none")["busy"] == 1)
    answer = asker.ask("POST", f"/v1/pools/none/workers/{before}/recycle")

    assert answer.status == 202
    assert {call.result().status for call in running} == {200}
    wait_for(lambda: [row["name"] for row in asker.workers("none")] not in ([before], []), 10)
    wait_for(lambda: _state(asker, "none", before) is None, 10)
    assert asker.run("none", "sleep", {"seconds": 0}).status == 200


# Routers


def test_routers_are_interchangeable(asker: Asker) -> None:
    zero, one = RouterAsker(asker.house, 0), RouterAsker(asker.house, 1)
    handle = zero.session("kept")

    assert [each.in_session(handle, "count").json for each in (one, zero, one)] == [1, 2, 3]
    assert one.ask("GET", f"/v1/sessions/{handle}").status == 200
    assert handle in [row["session_id"] for row in one.ask("GET", "/v1/sessions").json["items"]]


def test_a_session_outlives_its_router(asker: Asker) -> None:
    """Killed in mid-call: the call is cancelled with it, the session goes on at the other."""
    zero, one = RouterAsker(asker.house, 0), RouterAsker(asker.house, 1)
    handle = zero.session("kept")
    assert zero.in_session(handle, "count").json == 1
    connection = zero.connection()
    path = f"/v1/sessions/{handle}/execute/count"
    connection.request("POST", path, b'{"then": "hang"}', zero.headers())
    wait_for(lambda: one.pool("kept")["busy"] == 1)
    os.kill(asker.house.record("up.json")["routers"][0]["pid"], signal.SIGKILL)

    assert one.in_session(handle, "count").json == 2
    with pytest.raises(OSError, match=r"."):
        read_answer(connection)
    connection.close()
    wait_for(lambda: _answers(zero) and zero.in_session(handle, "count").json == 3, 8)


def _answers(asker: Asker) -> bool:
    try:
        return bool(asker.pool("kept")["ready"])
    except OSError:
        return False


def test_a_worker_that_is_killed_takes_its_sessions(asker: Asker) -> None:
    handle = asker.session("tiny")
    os.kill(tree(asker.house, "tiny").agent, signal.SIGKILL)

    wait_for(lambda: asker.in_session(handle, "count").status == 410, 10)
    assert lost(asker.in_session(handle, "count")) == "worker_gone"
    wait_for(lambda: asker.pool("tiny")["available"] == 1, 20)
