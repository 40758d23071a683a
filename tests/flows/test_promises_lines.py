"""API.md 2.2, 4, and what goes in and out: lines and refusals, bodies, streams, picking, access."""

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flows.house import House, manifest, open_house, wait_for
from flows.parts import Beside, answers_in_order, events, lines, read_answer
from flows.whole import Answer, Asker, beside_examples, troubles

KIB, MIB = 1024, 1024 * 1024
POOLS = (
    troubles("line", "queue: {maxLength: 4, timeoutSeconds: 10}"),
    troubles("promised", "concurrency: 2\nqueue: {maxLength: 2, timeoutSeconds: 2}", seconds=21),
    troubles("bodies", "results: {maxBytes: 20Mi}\nresources: {memory: 2Gi}", seconds=22),
    troubles("patient", "operations: ['count*', 'sleep']", seconds=40),
    manifest("shop", "{adapter: 'shop:Shop', concurrency: 2}"),
)


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
    with ThreadPoolExecutor(32) as threads:
        yield Beside(asker, threads)


def is_idle(asker: Asker, pool: str) -> bool:
    shown = asker.pool(pool)
    return bool(shown["available"] == shown["total"] and not shown["queued"])


# Lines


def test_first_in_first_out(asker: Asker, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    calls: list[tuple[str, Any]] = [
        ("journal", {"path": str(journal), "line": str(number)}) for number in range(4)
    ]
    with asker.held("line", "sleep", {"seconds": 1.5}):
        wait_for(lambda: asker.pool("line")["busy"] == 1)
        answers = answers_in_order(asker, "line", calls)

    assert [answer.status for answer in answers] == [200] * 4
    assert [line for line in lines(journal) if "begin" in line] == [f"begin {n}" for n in range(4)]


def test_a_refusal_comes_at_once(asker: Asker) -> None:
    """The line is bounded; who finds it full is told when to come back, without waiting."""
    with ExitStack() as held:
        for _ in range(5):
            held.enter_context(asker.held("line", "sleep", {"seconds": 20}))
        wait_for(lambda: asker.pool("line")["queued"] == 4)
        began = time.monotonic()
        refused = [asker.run("line", "sleep", {"seconds": 0}) for _ in range(5)]
        seconds = time.monotonic() - began

    assert {answer.json["cause"] for answer in refused} == {"queue_full"}
    assert seconds < 1.0
    wait_for(lambda: is_idle(asker, "line"))


def test_a_caller_that_has_gone_leaves_the_line(asker: Asker, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with asker.held("line", "sleep", {"seconds": 0.6}):
        wait_for(lambda: asker.pool("line")["busy"] == 1)
        with asker.held("line", "journal", {"path": str(journal), "line": "gone"}):
            wait_for(lambda: asker.pool("line")["queued"] == 1)
        wait_for(lambda: asker.pool("line")["queued"] == 0, 0.4)
        assert asker.run("line", "sleep", {"seconds": 0}).status == 200

    assert lines(journal) == []


def test_the_wait_is_bounded_and_not_part_of_the_run(asker: Asker) -> None:
    """A call with less time to run than it waits is not cut short."""
    with asker.held("line", "sleep", {"seconds": 0.8}):
        wait_for(lambda: asker.pool("line")["busy"] == 1)
        late = asker.run("line", "sleep", {"seconds": 0}, "queue_timeout=0.1")
        answer = asker.run("line", "sleep", {"seconds": 0.1}, "timeout=0.4")

    assert late.json["cause"] == "queue_timeout"
    assert answer.status == 200


def test_who_obeys_is_admitted(asker: Asker, beside: Beside) -> None:
    """Of callers that are refused at one instant and come back when told, four in five."""
    seconds = 0.05
    for _ in range(8):
        asker.run("promised", "sleep", {"seconds": seconds})
    calls = [beside.run("promised", "sleep", {"seconds": seconds}) for _ in range(24)]
    first = [call.result() for call in calls]
    refused = [answer for answer in first if answer.status == 429]
    assert len(refused) >= 12

    def obey(answer: Answer) -> int:
        time.sleep(answer.json["retry_after_ms"] / 1000)
        return asker.run("promised", "sleep", {"seconds": seconds}).status

    again = [beside.threads.submit(obey, answer) for answer in refused]
    admitted = sum(call.result() == 200 for call in again)
    assert admitted >= 0.8 * len(refused)


# Bodies


@pytest.mark.parametrize(
    "size", [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300 * KIB, MIB, 16 * MIB]
)
def test_bodies_of_all_sizes(asker: Asker, size: int) -> None:
    """Whole, whatever way they go: with a Content-Length and in chunks, in and out."""
    assert asker.run("bodies", "count_bytes", bytes(size)).json == size
    if size:
        chunks = (bytes(min(100_000, size - at)) for at in range(0, size, 100_000))
        assert _chunked(asker, "bodies", "count_bytes", chunks).json == size
    answer = asker.run("bodies", "big_bytes", {"size": size})
    assert answer.body == bytes(size)
    assert answer.fields["content-type"] == "application/octet-stream"
    assert answer.fields["content-length"] == str(size)


def _chunked(asker: Asker, pool: str, command: str, chunks: Iterator[bytes]) -> Answer:
    connection = asker.connection()
    path = f"/v1/pools/{pool}/execute/{command}"
    connection.request("POST", path, chunks, asker.headers(), encode_chunked=True)
    try:
        return read_answer(connection)
    finally:
        connection.close()


def test_bodies_over_the_limits(asker: Asker) -> None:
    """Over 16 MiB in, over `results.maxBytes` out; up to them all is well."""
    assert asker.run("bodies", "big_bytes", {"size": 20 * MIB}).status == 200
    over = asker.run("bodies", "big_bytes", {"size": 20 * MIB + 1})
    assert (over.status, over.code) == (502, "result_too_large")

    chunks = (bytes(MIB) for _ in range(17))
    try:
        refused = _chunked(asker, "bodies", "count_bytes", chunks)
    except OSError:
        pytest.fail("the answer must be readable although the body was not read to its end")
    assert (refused.status, refused.code) == (413, "payload_too_large")
    assert asker.run("bodies", "count_bytes", bytes(10)).json == 10


def test_json_of_a_megabyte(asker: Asker) -> None:
    assert asker.run("bodies", "length_of", {"text": "ä" * MIB}).json == MIB
    assert len(asker.run("bodies", "big_result", {"size": 3 * MIB}).body) == 3 * MIB


def test_results_that_json_does_not_have(asker: Asker) -> None:
    def odd(kind: str) -> Answer:
        return asker.run("bodies", "odd_result", {"kind": kind})

    assert odd("nan").json == {"a": None, "b": [None]}
    assert odd("bytes").json == {"data": {"$bytes": "AAE="}}
    assert odd("huge").json == 2**70
    for kind in ("object", "cycle", "surrogate"):
        answer = odd(kind)
        assert answer.code == "command_failed", kind
        assert answer.json["exception"]["type"] == "TypeError", kind


def test_connections_are_kept(asker: Asker) -> None:
    """Many calls on one connection, errors among them."""
    connection = asker.connection()
    for number in range(20):
        command = "fail" if number % 3 == 0 else "say"
        args = {} if command == "fail" else {"text": str(number)}
        path = f"/v1/pools/bodies/execute/{command}"
        connection.request("POST", path, json.dumps(args), asker.headers())
        answer = read_answer(connection)
        assert answer.status == (422 if command == "fail" else 200)
    connection.close()


# Streams


def stream(asker: Asker, pool: str, command: str, args: Any, query: str = "") -> Answer:
    path = f"/v1/pools/{pool}/execute/{command}{'?' + query if query else ''}"
    return asker.ask("POST", path, args, asker.headers(Accept="text/event-stream"))


def test_a_stream_of_events(asker: Asker) -> None:
    answer = stream(asker, "bodies", "count_to", {"n": 3})
    said = events(answer.body)

    assert answer.fields["content-type"].startswith("text/event-stream")
    assert answer.fields["server-timing"].startswith("queue;dur=")
    assert "run" not in answer.fields["server-timing"]
    assert answer.fields["pythonpool-worker"]
    assert [number for number, _, _ in said] == list(range(1, len(said) + 1))
    assert [data for _, name, data in said if name == "chunk"] == [1, 2, 3]
    fractions = [data["fraction"] for _, name, data in said if name == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert said[-1][1:] == ("result", None)


def test_streams_of_other_commands(asker: Asker) -> None:
    """One result for a plain command; without a stream a generator's values are a list."""
    assert events(stream(asker, "bodies", "say", {"text": "a"}).body) == [(1, "result", "a")]
    assert asker.run("bodies", "count_to", {"n": 3}).json == [1, 2, 3]
    assert asker.run("bodies", "async_count_to", {"n": 3}).json == [1, 2, 3]
    said = events(stream(asker, "bodies", "async_count_to", {"n": 2}).body)
    assert [data for _, name, data in said if name == "chunk"] == [1, 2]


def test_streams_that_end_in_errors(asker: Asker) -> None:
    """Before the command begins an ordinary answer; afterwards one `error` event."""
    assert stream(asker, "bodies", "say", {"text": 1}).code == "invalid_argument"
    assert stream(asker, "bodies", "nothing", {}).code == "command_not_found"
    for command, args, query, code in (
        ("fail_midway", {"n": 2}, "", "command_failed"),
        ("sleep", {"seconds": 9}, "timeout=0.3", "timeout"),
        ("exit", {}, "", "worker_crashed"),
    ):
        answer = stream(asker, "bodies", command, args, query)
        said = events(answer.body)
        assert answer.status == 200
        assert [name for _, name, _ in said[:-1]] == ["chunk"] * (len(said) - 1)
        assert (said[-1][1], said[-1][2]["code"]) == ("error", code)
        assert said[-1][2]["execution_id"] == answer.fields["pythonpool-execution-id"]


def test_a_large_stream_is_whole(asker: Asker) -> None:
    said = events(stream(asker, "bodies", "count_to", {"n": 2000}).body)

    assert [data for _, name, data in said if name == "chunk"] == list(range(1, 2001))


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_a_half_closed_connection_has_gone(asker: Asker, accept: str) -> None:
    connection = asker.connection()
    path = "/v1/pools/bodies/execute/report"
    headers = asker.headers(Accept=accept)
    connection.request("POST", path, b'{"times": 100, "seconds": 30}', headers)
    wait_for(lambda: asker.pool("bodies")["busy"] == 1)
    assert isinstance(connection.sock, socket.socket)
    connection.sock.shutdown(socket.SHUT_WR)

    wait_for(lambda: asker.pool("bodies")["busy"] == 0, 2.0)
    connection.close()


# Picking a pool


def test_picking_a_pool(asker: Asker) -> None:
    def pick(command: str, args: Any, query: str = "") -> Answer:
        return asker.ask("POST", f"/v1/execute/{command}{'?' + query if query else ''}", args)

    def pool(answer: Answer) -> str:
        assert answer.status == 200, answer.body
        return answer.fields["pythonpool-worker"].partition("-")[0]

    assert pool(pick("sleep", {"seconds": 0})) == "patient"
    assert pool(pick("count_to", {"n": 1})) == "patient"
    assert pool(pick("say", {"text": "a"}, "timeout=30")) == "patient"
    assert pool(pick("price", {"item": _an_item(asker)})) == "shop"
    assert pool(pick("say", {"text": "a"})) in {"line", "promised", "bodies", "patient"}
    missing = pick("prices", {})
    assert missing.code == "command_not_found"
    assert "price" in missing.json["detail"]


def _an_item(asker: Asker) -> str:
    items: list[dict[str, Any]] = asker.run("shop", "stocktaking", {"seconds_each": 0}).json
    item: str = items[0]["item"]
    return item


def test_a_free_slot_is_picked(asker: Asker) -> None:
    with ExitStack() as held:
        held.enter_context(asker.held("line", "spin", {"seconds": 20}))
        wait_for(lambda: asker.pool("line")["busy"] == 1)
        for _ in range(4):
            answer = asker.ask("POST", "/v1/execute/say", {"text": "a"})
            assert answer.status == 200
            assert not answer.fields["pythonpool-worker"].startswith("line-")
    wait_for(lambda: is_idle(asker, "line"))


# Access, and the pages around the calls


def test_what_needs_no_token(asker: Asker) -> None:
    for path in ("/livez", "/readyz", "/version", "/openapi.json"):
        assert asker.ask("GET", path, headers={}).status == 200, path
    assert asker.ask("GET", "/openapi.json", headers={}).json["openapi"].startswith("3.1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_hosts_that_are_ours(asker: Asker, host: str) -> None:
    port = asker.house.url.rpartition(":")[2]
    for shown in (host, f"{host}:{port}"):
        assert asker.ask("GET", "/v1/pools", headers=asker.headers(Host=shown)).status == 200


def test_strange_requests_are_refused(asker: Asker) -> None:
    """What proxies and servers disagree about is answered with 400 and a closed connection."""
    auth = f"Authorization: Bearer {asker.house.token}\r\n"
    start = f"POST /v1/pools/bodies/execute/say HTTP/1.1\r\nHost: localhost\r\n{auth}"
    for rest in (
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: localhost\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        "X-Bare: a\nContent-Length: 2\r\n\r\n{}",
        "X Space: a\r\nContent-Length: 2\r\n\r\n{}",
    ):
        with _raw(asker) as connection:
            connection.sendall((start + rest).encode())
            data = b""
            while part := connection.recv(65_536):
                data += part
        assert data.startswith(b"HTTP/1.1 400 "), rest
        assert data.count(b"HTTP/1.1 ") == 1, rest


def _raw(asker: Asker) -> socket.socket:
    host, _, port = asker.house.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_counted(asker: Asker) -> None:
    """Each end of a call is counted once, under the words of API.md 3."""

    def count(code: str) -> float:
        mark = f'pythonpool_executions_total{{code="{code}",command="price",pool="shop"}} '
        found = [line for line in asker.metrics().splitlines() if line.startswith(mark)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    before = count("ok"), count("command_failed"), count("invalid_argument")
    asker.run("shop", "price", {"item": _an_item(asker)})
    asker.run("shop", "price", {"item": "nothing of the kind"})
    asker.run("shop", "price", {"item": 1})

    after = count("ok"), count("command_failed"), count("invalid_argument")
    assert after == tuple(number + 1 for number in before)
