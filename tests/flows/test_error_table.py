"""The table of errors in API.md 2.1, row by row, over plain HTTP on a real `up`."""

import json
import math
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flows.house import House, open_house, wait_for
from flows.parts import stack_of
from flows.whole import Answer, Asker, beside_examples, troubles

from pythonpool.errors import TYPE_BASE

MIB = 1024 * 1024
POOLS = (
    troubles("plain", "resources: {memory: 1Gi, executorMemory: 192Mi}", seconds=10),
    troubles("narrow", "queue: {maxLength: 1, timeoutSeconds: 3}\nsessions: {maxPerWorker: 1}"),
    troubles("threads", "isolation: thread\nconcurrency: 2", seconds=60),
    troubles("small", "results: {maxBytes: 1Ki}\nsessions: {persistence: None}"),
    troubles("asleep", "replicas: 0"),
    troubles("broken", "config: {start: raise}"),
)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One `up` for the whole table."""
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    opened = open_house(home, [beside_examples(home / "files", *POOLS)])
    yield opened
    assert opened.close() == 0
    shutil.rmtree(home)


@pytest.fixture
def asker(house: House) -> Asker:
    return Asker(house)


def has(answer: Answer, status: int, code: str, outcome: str, **members: Any) -> dict[str, Any]:
    """The problem of an answer, after a look at what every problem has."""
    problem: dict[str, Any] = answer.json
    assert answer.fields["content-type"] == "application/problem+json"
    shown = answer.status, problem["code"], problem["outcome"]
    assert shown == (status, code, outcome), problem["detail"]
    assert problem["status"] == status
    assert problem["type"] == TYPE_BASE + code
    assert problem["title"]
    assert "\n" not in problem["detail"]
    if "retry_after_ms" in problem:
        seconds = math.ceil(problem["retry_after_ms"] / 1000)
        assert answer.fields["retry-after"] == str(seconds)
    for name, value in members.items():
        assert problem[name] == value
    return problem


def reached(answer: Answer) -> dict[str, Any]:
    """The problem of a call that reached a worker: it says so, in body and headers."""
    problem = had_no_worker(answer)
    assert answer.fields["pythonpool-worker"] == problem["worker"]
    timing = answer.fields["server-timing"]
    assert re.fullmatch(r"queue;dur=[\d.]+, ?run;dur=[\d.]+", timing)
    return problem


def had_no_worker(answer: Answer) -> dict[str, Any]:
    """The problem of an execute, with its id in body and headers."""
    problem: dict[str, Any] = answer.json
    assert answer.fields["pythonpool-execution-id"] == problem["execution_id"]
    return problem


# 400


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b'{"seconds": NaN}', ""),
        (b'{"seconds": "1"}', "seconds"),
        (b'{"seconds": true}', "seconds"),
        (b"{}", "seconds"),
        (b'{"seconds": 0, "minutes": 1}', "minutes"),
        (b'{"seconds": "\xff"}', ""),
        (b'{"seconds": ' + b"[" * 200 + b"]" * 200 + b"}", ""),
    ],
)
def test_args_that_do_not_fit(asker: Asker, args: bytes, named: str) -> None:
    answer = asker.run("plain", "sleep", args)

    has(answer, 400, "invalid_argument", "not_started")
    assert named in reached(answer)["detail"]


def test_args_that_do_fit(asker: Asker) -> None:
    """Of duplicate keys the last; a float takes a whole number; nothing at all is {}."""
    assert asker.run("plain", "sleep", b'{"seconds": 9, "seconds": 0}').json["slept"] == 0
    assert asker.run("plain", "fork_and_return", b"").status == 200


@pytest.mark.parametrize(
    "query",
    [
        "timeout=0",
        "timeout=0.0001",
        "timeout=61",
        "timeout=1e1",
        "timeout=-1",
        "timeout=",
        "timeout=nan",
        "queue_timeout=3601",
        "queue_timeout=x",
        "wait=1",
        "timeout=1&timeout=2",
    ],
)
def test_a_bad_query(asker: Asker, query: str) -> None:
    answer = asker.run("plain", "sleep", {"seconds": 0}, query)

    has(answer, 400, "invalid_argument", "not_started")
    assert query.partition("=")[0] in had_no_worker(answer)["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/pools/plain/execute/Sleep",
        "/v1/pools/Plain/execute/sleep",
        "/v1/pools/plain/execute/a%2Fb",
        "/v1/pools/plain/execute/%zz",
    ],
)
def test_a_bad_path(asker: Asker, path: str) -> None:
    answer = asker.ask("POST", path, {})

    has(answer, 400, "invalid_argument", "not_started")
    had_no_worker(answer)


def test_what_comes_later_is_refused_or_passed_over(asker: Asker) -> None:
    path = "/v1/pools/plain/execute/sleep"
    keyed = asker.ask("POST", path, {"seconds": 0}, asker.headers(**{"Idempotency-Key": "a"}))
    assert "Idempotency-Key" in has(keyed, 400, "invalid_argument", "not_started")["detail"]

    preferred = asker.ask("POST", path, {"seconds": 0}, asker.headers(Prefer="respond-async"))
    assert preferred.status == 200
    assert "preference-applied" not in preferred.fields

    for method, later in (
        ("GET", "/v1/executions/x"),
        ("GET", "/v1/executions/x/events"),
        ("DELETE", "/v1/executions/x"),
    ):
        assert "later" in has(asker.ask(method, later), 404, "not_found", "not_started")["detail"]


# 401 to 408, 413, 431


@pytest.mark.parametrize(
    "path", ["/v1/pools", "/v1/pools/nobody", "/v1/nothing", "/nothing", "/metrics", "/v1/sessions"]
)
@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic cGFzczp3b3Jk", "Bearer "])
def test_no_valid_token(asker: Asker, path: str, token: str | None) -> None:
    """401 also where the answer would be 404: nobody learns what is there."""
    answer = asker.ask("GET", path, headers={} if token is None else {"Authorization": token})

    has(answer, 401, "unauthenticated", "not_started")
    assert answer.fields["www-authenticate"].startswith("Bearer")


def test_an_execute_without_a_token(asker: Asker) -> None:
    answer = asker.ask("POST", "/v1/pools/plain/execute/sleep", {"seconds": 0}, {})

    has(answer, 401, "unauthenticated", "not_started")
    had_no_worker(answer)


@pytest.mark.parametrize(
    "foreign", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_a_foreign_host_or_origin(asker: Asker, foreign: dict[str, str]) -> None:
    answer = asker.ask("GET", "/v1/pools", headers=asker.headers(**foreign))

    has(answer, 403, "permission_denied", "not_started")


def test_names_that_are_not_there(asker: Asker) -> None:
    def lacks(method: str, path: str, code: str, body: Any = None) -> dict[str, Any]:
        return has(asker.ask(method, path, body), 404, code, "not_started")

    assert "plain" in lacks("GET", "/v1/pools/plein", "pool_not_found")["detail"]
    assert "plain" in lacks("POST", "/v1/pools/plein/execute/sleep", "pool_not_found")["detail"]
    lacks("POST", "/v1/sessions", "pool_not_found", {"pool": "plein"})
    near = lacks("POST", "/v1/pools/plain/execute/slep", "command_not_found")
    assert "sleep" in near["detail"]
    assert "sleep" in lacks("POST", "/v1/execute/slep", "command_not_found")["detail"]
    handle = asker.session("plain")
    lacks("POST", f"/v1/sessions/{handle}/execute/slep", "command_not_found", {})
    lacks("GET", "/v1/sessions/nonsense", "session_not_found")
    lacks("POST", "/v1/sessions/nonsense/execute/count", "session_not_found", {})
    lacks("POST", "/v1/pools/plain/workers/nobody/recycle", "worker_not_found")
    lacks("GET", "/v1/nothing", "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/pools/plain/execute/sleep", {"POST"}),
        ("PUT", "/v1/execute/sleep", {"POST"}),
        ("POST", "/v1/pools", {"GET"}),
        ("PATCH", "/v1/sessions", {"GET", "POST"}),
        ("DELETE", "/metrics", {"GET"}),
    ],
)
def test_a_method_that_is_not_there(
    asker: Asker, method: str, path: str, allowed: set[str]
) -> None:
    answer = asker.ask(method, path)

    has(answer, 405, "method_not_allowed", "not_started")
    assert allowed <= set(answer.fields["allow"].split(", ")) <= allowed | {"HEAD"}


def test_a_body_that_comes_too_slowly(asker: Asker) -> None:
    """A slot does not wait for the network: 1 MiB/s over any 2 s, else the call is not started."""
    with asker.held("plain", "length_of", {}) as connection:
        connection.close()
        connection.putrequest("POST", "/v1/pools/plain/execute/length_of")
        for name, value in asker.headers(**{"Content-Length": str(4 * MIB)}).items():
            connection.putheader(name, value)
        connection.endheaders(b'{"text": "' + b"x" * 100_000)
        got = connection.getresponse()
        fields = {name.lower(): value for name, value in got.getheaders()}
        answer = Answer(got.status, fields, got.read())

    has(answer, 408, "request_timeout", "not_started")
    had_no_worker(answer)
    wait_for(lambda: asker.pool("plain")["busy"] == 0)


def test_a_body_over_the_limit(asker: Asker) -> None:
    path = "/v1/pools/plain/execute/count_bytes"
    with socket.create_connection(_address(asker)) as raw:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        raw.sendall(f"{head}{asker.house.token}\r\nContent-Length: {17 * MIB}\r\n\r\n".encode())
        answer = _read(raw)

    has(answer, 413, "payload_too_large", "not_started")
    had_no_worker(answer)


@pytest.mark.parametrize(
    "more", [{"X-Long": "x" * 17_000}, {f"X-{number}": "x" for number in range(70)}]
)
def test_a_head_that_is_too_large(asker: Asker, more: dict[str, str]) -> None:
    answer = asker.ask("GET", "/v1/pools", headers=asker.headers(**more))

    has(answer, 431, "header_too_large", "not_started")


# 410


def test_sessions_that_are_over(asker: Asker) -> None:
    short = asker.session("plain", ttl_seconds=1)
    live = asker.session("plain")
    wait_for(lambda: asker.ask("GET", f"/v1/sessions/{short}").status == 410)

    has(asker.in_session(short, "count"), 410, "session_expired", "not_started")
    has(asker.ask("GET", f"/v1/sessions/{short}"), 410, "session_expired", "not_started")
    asker.ask("DELETE", f"/v1/sessions/{live}")
    has(asker.in_session(live, "count"), 404, "session_not_found", "not_started")


def test_a_session_that_is_lost(asker: Asker) -> None:
    """Nothing is kept with persistence None: a kill ends the session."""
    handle = asker.session("small")
    asker.in_session(handle, "count", {"then": "hang"}, "timeout=0.2")
    again = asker.in_session(handle, "count")

    has(again, 410, "session_lost", "not_started", cause="killed")
    had_no_worker(again)


# 422


@pytest.mark.parametrize("kind", ["ValueError", "KeyboardInterrupt", "GeneratorExit"])
def test_a_command_that_raises(asker: Asker, kind: str) -> None:
    answer = asker.run("plain", "fail", {"kind": kind, "message": "no wine today"})

    problem = has(answer, 422, "command_failed", "finished")
    assert reached(answer)["exception"]["type"] == kind
    assert problem["exception"]["message"] == "no wine today"
    assert "in fail" in problem["exception"]["traceback"]
    assert "pythonpool_worker" not in problem["exception"]["traceback"]


def test_a_long_message_is_cut(asker: Asker) -> None:
    problem = asker.run("plain", "fail", {"message": "x" * 40_000}).json

    assert 16_000 < len(problem["exception"]["message"]) <= 16_384
    assert len(problem["exception"]["traceback"].encode()) <= 16_384


# 429, 499


def test_the_line_is_full_or_too_slow(asker: Asker) -> None:
    with asker.held("narrow", "sleep", {"seconds": 20}):
        wait_for(lambda: asker.pool("narrow")["busy"] == 1)
        with asker.held("narrow", "sleep", {"seconds": 0}):
            wait_for(lambda: asker.pool("narrow")["queued"] == 1)
            full = asker.run("narrow", "sleep", {"seconds": 0})
        wait_for(lambda: asker.pool("narrow")["queued"] == 0)
        late = asker.run("narrow", "sleep", {"seconds": 0}, "queue_timeout=0.2")

    problem = has(full, 429, "resource_exhausted", "not_started", cause="queue_full")
    assert problem["title"] == "Python pool is at capacity"
    assert problem["retry_after_ms"] > 0
    assert problem["execution_id"] == had_no_worker(full)["execution_id"]
    slow = has(late, 429, "resource_exhausted", "not_started", cause="queue_timeout")
    assert slow["retry_after_ms"] > 0
    wait_for(lambda: asker.pool("narrow")["busy"] == 0)


def test_too_many_sessions(asker: Asker) -> None:
    handle = asker.session("narrow")
    refused = asker.ask("POST", "/v1/sessions", {"pool": "narrow"})

    problem = has(refused, 429, "resource_exhausted", "not_started", cause="sessions_full")
    assert problem["retry_after_ms"] > 0
    assert asker.ask("DELETE", f"/v1/sessions/{handle}").status == 204
    wait_for(lambda: asker.ask("POST", "/v1/sessions", {"pool": "narrow"}).status == 201)


def test_a_busy_session_and_a_call_that_is_deleted(asker: Asker) -> None:
    handle = asker.session("threads")
    path = f"/v1/sessions/{handle}/execute/sleep"
    connection = asker.connection()
    connection.request("POST", path, json.dumps({"seconds": 30}), asker.headers())
    wait_for(lambda: asker.pool("threads")["busy"] == 1)
    busy = asker.in_session(handle, "count", {}, "queue_timeout=0.2")
    assert asker.ask("DELETE", f"/v1/sessions/{handle}").status == 204
    got = connection.getresponse()
    fields = {name.lower(): value for name, value in got.getheaders()}
    deleted = Answer(got.status, fields, got.read())
    connection.close()

    problem = has(busy, 429, "resource_exhausted", "not_started", cause="session_busy")
    assert problem["retry_after_ms"] > 0
    has(deleted, 499, "cancelled", "unknown")
    reached(deleted)


# 502


@pytest.mark.parametrize(
    ("command", "args", "cause"),
    [
        ("fail", {"kind": "SystemExit"}, "exit:1"),
        ("exit", {"code": 3}, "exit:3"),
        ("exit", {"code": 1, "hard": True}, "exit:1"),
        ("kill_self", {"signal_number": 9}, "signal:9"),
        ("segfault", {}, "signal:11"),
    ],
)
def test_a_command_that_dies(asker: Asker, command: str, args: Any, cause: str) -> None:
    answer = asker.run("plain", command, args)

    has(answer, 502, "worker_crashed", "unknown", cause=cause)
    reached(answer)
    assert asker.run("plain", "sleep", {"seconds": 0}).status == 200


def test_a_neighbour_that_dies(asker: Asker) -> None:
    with asker.held("threads", "sleep", {"seconds": 30}) as neighbour:
        wait_for(lambda: asker.pool("threads")["busy"] == 1)
        late = asker.run("threads", "sleep", {"seconds": 30}, "timeout=0.2")
        got = neighbour.getresponse()
        fields = {name.lower(): value for name, value in got.getheaders()}
        taken = Answer(got.status, fields, got.read())

    has(late, 504, "timeout", "unknown")
    has(taken, 502, "worker_crashed", "unknown", cause="neighbour_killed")
    reached(taken)


def test_an_executor_runs_out_of_memory(asker: Asker) -> None:
    """Over `executorMemory` Python itself raises, and the process lives on."""
    answer = asker.run("plain", "allocate", {"megabytes": 400, "seconds": 1})

    problem = has(answer, 502, "out_of_memory", "finished")
    assert problem["limit_bytes"] == 192 * MIB
    reached(answer)
    assert asker.run("plain", "allocate", {"megabytes": 20}).json == 20 * MIB


def test_a_worker_runs_out_of_memory(asker: Asker) -> None:
    answer = asker.run("small", "allocate", {"megabytes": 600, "seconds": 2})

    problem = has(answer, 502, "out_of_memory", "unknown")
    assert problem["limit_bytes"] == 512 * MIB
    assert 200 * MIB < problem["peak_bytes"] <= 512 * MIB
    reached(answer)
    assert asker.run("small", "allocate", {"megabytes": 20}).json == 20 * MIB


def test_a_memory_error_that_was_let_through(asker: Asker) -> None:
    """The command has finished, and its process is kept; the limit is the one that it met first."""
    before = asker.run("plain", "sleep", {"seconds": 0}).json["pid"]
    answer = asker.run("plain", "fail", {"kind": "MemoryError"})

    problem = has(answer, 502, "out_of_memory", "finished")
    assert problem["exception"]["type"] == "MemoryError"
    assert asker.run("plain", "sleep", {"seconds": 0}).json["pid"] == before


def test_a_result_that_is_too_large(asker: Asker) -> None:
    assert asker.run("small", "big_result", {"size": 1024}).status == 200
    for command in ("big_result", "big_bytes"):
        answer = asker.run("small", command, {"size": 1025})
        has(answer, 502, "result_too_large", "finished")
        reached(answer)


# 503, 504


def test_no_worker_and_none_on_its_way(asker: Asker) -> None:
    for pool, cause, words in (("asleep", "scaled_to_zero", ""), ("broken", "", "on purpose")):
        answer = asker.run(pool, "sleep", {"seconds": 0})
        problem = has(answer, 503, "unavailable", "not_started")
        assert problem["cause"] in (cause, "cannot_start", "crash_looping")
        assert problem["retry_after_ms"] > 0
        assert words in problem["detail"]
        had_no_worker(answer)
        refused = asker.ask("POST", "/v1/sessions", {"pool": pool})
        has(refused, 503, "unavailable", "not_started")


def test_a_call_that_takes_too_long(asker: Asker) -> None:
    answer = asker.run("plain", "sleep", {"seconds": 20}, "timeout=0.3")

    problem = has(answer, 504, "timeout", "unknown")
    assert problem["title"] == "Python operation timed out"
    assert problem["suggestion"] == "Consider using the narrow pool for long operations"
    stack = stack_of(asker, "plain", "sleep", {"seconds": 20})
    assert re.search(r'troubles\.py", line \d+ in sleep', stack)
    assert "0.3" in problem["detail"]
    reached(answer)


def test_no_pool_has_more_time(asker: Asker) -> None:
    problem = asker.run("threads", "sleep", {"seconds": 20}, "timeout=0.2").json

    assert "suggestion" not in problem


def _address(asker: Asker) -> tuple[str, int]:
    host, _, port = asker.house.url.removeprefix("http://").partition(":")
    return host, int(port)


def _read(raw: socket.socket) -> Answer:
    raw.settimeout(20)
    data = b""
    while part := raw.recv(65_536):
        data += part
        head, found, body = data.partition(b"\r\n\r\n")
        if found and b"Content-Length: %d\r\n" % len(body) in head + b"\r\n":
            break
    first, *lines = head.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, body)
