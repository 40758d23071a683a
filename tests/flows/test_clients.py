"""Both clients against a real HTTP server: what they send, return, raise, and never send twice."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from spoken_router import POOL, SESSION, TOKEN, Server, spoken_router

from pythonpool import AsyncClient, Client, errors
from pythonpool.http import rest
from pythonpool.http.awire import AsyncWire
from pythonpool.http.connection import resolve
from pythonpool.http.rest import Args, Limits
from pythonpool.http.wire import Wire


@pytest.fixture
def server() -> Iterator[Server]:
    with spoken_router() as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, TOKEN) as opened:
        yield opened


@pytest.fixture
async def aclient(server: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url, TOKEN) as opened:
        yield opened


async def both(
    client: Client,
    aclient: AsyncClient,
    pool: str | None,
    command: str,
    args: Args = None,
    *,
    timeout: float | None = None,
) -> Any:
    """The answer to a call, or its error, on which both clients must agree."""
    waited: Any
    awaited: Any
    try:
        waited = client.execute(pool, command, args, timeout=timeout)
    except errors.PythonPoolError as error:
        waited = error
    try:
        awaited = await aclient.execute(pool, command, args, timeout=timeout)
    except errors.PythonPoolError as error:
        awaited = error
    assert told(awaited) == told(waited)
    return waited


def told(answer: Any) -> Any:
    return answer.to_problem() if isinstance(answer, errors.PythonPoolError) else answer


@pytest.mark.parametrize("timeout", [5, None])
async def test_args_go_out_and_the_result_comes_back(
    client: Client, aclient: AsyncClient, timeout: float | None
) -> None:
    """Over a stream and without one alike."""
    args = {"text": "é", "count": 2**70}

    assert await both(client, aclient, "general", "echo", args, timeout=timeout) == {"echoed": args}


async def test_a_stream_is_asked_for_when_the_timeout_is_long_or_unknown(
    client: Client, aclient: AsyncClient, server: Server
) -> None:
    for timeout in (5, 31, None):
        await both(client, aclient, "general", "echo", timeout=timeout)

    accepts = [headers["Accept"] == "text/event-stream" for headers in server.headers_of]
    assert accepts == [False, False, True, True, True, True]


async def test_connections_are_kept_after_streams_too(
    client: Client, aclient: AsyncClient, server: Server
) -> None:
    for timeout in (None, 5, None, 5):
        await both(client, aclient, "general", "echo", timeout=timeout)

    assert server.connections == 2


async def test_bytes_are_the_body_and_the_result(client: Client, aclient: AsyncClient) -> None:
    assert await both(client, aclient, "general", "blob", b"\x00\xff", timeout=5) == b"\xff\x00"
    assert await both(client, aclient, None, "bytes", b"") == b"\x00\x01"


async def test_a_generators_result_is_the_list_of_its_values(
    client: Client, aclient: AsyncClient
) -> None:
    assert await both(client, aclient, "general", "generate") == ["a", "b"]


async def test_progress_is_told_and_implies_a_stream(client: Client, aclient: AsyncClient) -> None:
    heard: list[object] = []

    async def tell(progress: object) -> None:
        heard.append(progress)

    client.execute("general", "echo", timeout=1, on_progress=heard.append)
    await aclient.execute("general", "echo", timeout=1, on_progress=tell)

    assert heard == [{"fraction": 0.5, "loss": 1}] * 2


async def test_stream_yields_the_events_and_ends_with_the_result(
    client: Client, aclient: AsyncClient
) -> None:
    events = list(client.stream("general", "generate"))

    assert [event.kind for event in events] == ["progress", "chunk", "chunk", "result"]
    assert [event async for event in aclient.stream("general", "generate")] == events


@pytest.mark.parametrize(
    ("command", "kind", "outcome"),
    [
        ("raise", errors.CommandFailed, "finished"),
        ("full", errors.ResourceExhausted, "not_started"),
        ("late_error", errors.Timeout, "unknown"),
        ("proxy", errors.Internal, "unknown"),
    ],
)
async def test_errors_come_typed(
    client: Client,
    aclient: AsyncClient,
    command: str,
    kind: type[errors.PythonPoolError],
    outcome: str,
) -> None:
    error = await both(client, aclient, "general", command)

    assert isinstance(error, kind)
    assert error.outcome == outcome


@pytest.mark.parametrize(
    ("command", "timeout"), [("vanish", 5), ("vanish", None), ("cut", None), ("unfinished", None)]
)
async def test_a_call_whose_connection_breaks_is_unknown_and_not_sent_again(
    client: Client, aclient: AsyncClient, server: Server, command: str, timeout: float | None
) -> None:
    """A second run of what may have run already would be a defect."""
    client.pools()  # so that the connection is a kept one, which tempts libraries to retry
    await aclient.pools()

    error = await both(client, aclient, "general", command, timeout=timeout)

    assert isinstance(error, errors.Internal)
    assert (error.outcome, error.cause) == ("unknown", "connection_lost")
    assert len([path for _, path, _ in server.asked if command in path]) == 2


async def test_no_router_means_that_nothing_started() -> None:
    with spoken_router() as ended:
        url = ended.url

    with Client(url, TOKEN) as client:
        async with AsyncClient(url, TOKEN) as aclient:
            error = await both(client, aclient, "general", "echo")

    assert isinstance(error, errors.Unavailable)
    assert (error.outcome, error.cause) == ("not_started", "no_connection")
    assert "refused" in error.detail


@pytest.mark.parametrize("stream", [False, True])
async def test_a_router_that_fell_silent_is_not_waited_for_without_end(
    server: Server, stream: bool
) -> None:
    """Within a stream a comment is due every 15 s; the real bounds are shortened here."""
    request = rest.execute(rest.pool_place("general"), "wait", None, Limits(), stream)
    short = replace(request, patience_seconds=5, silence_seconds=0.05)
    if not stream:
        short = replace(short, patience_seconds=0.05)
    wire = Wire(resolve(server.url, TOKEN), 5, None)
    awire = AsyncWire(resolve(server.url, TOKEN), 5, None)

    with pytest.raises(errors.Internal) as waited:
        list(wire.events(short))
    with pytest.raises(errors.Internal) as awaited:
        [event async for event in awire.events(short)]

    assert waited.value.to_problem() == awaited.value.to_problem()
    assert "silent for too long" in waited.value.detail
    assert waited.value.outcome == "unknown"
    wire.close()
    await awire.close()


async def test_a_kept_connection_that_was_closed_meanwhile_is_made_anew(
    client: Client, aclient: AsyncClient, server: Server
) -> None:
    """Nothing was sent on it yet, so this is no second try."""
    await both(client, aclient, "general", "leave", timeout=5)
    assert await asyncio.to_thread(server.left.acquire, timeout=10)
    assert await asyncio.to_thread(server.left.acquire, timeout=10)

    assert await both(client, aclient, "general", "echo", timeout=5) == {"echoed": {}}


@pytest.mark.parametrize("timeout", [5, None])
async def test_cancelling_a_task_closes_the_calls_connection(
    aclient: AsyncClient, server: Server, timeout: float | None
) -> None:
    task = asyncio.create_task(aclient.execute("general", "wait", timeout=timeout))
    await asyncio.to_thread(server.running.wait, 10)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.caller_gone.wait, 10)


async def test_leaving_a_stream_closes_the_calls_connection(
    client: Client, aclient: AsyncClient, server: Server
) -> None:
    for event in client.stream("general", "wait"):
        assert event.kind == "progress"
        break
    assert await asyncio.to_thread(server.caller_gone.wait, 10)

    server.caller_gone.clear()
    async with aclosing(aclient.stream("general", "wait")) as events:
        assert (await anext(events)).kind == "progress"
    assert await asyncio.to_thread(server.caller_gone.wait, 10)


def test_one_client_serves_many_threads(client: Client, server: Server) -> None:
    results: list[object] = []
    threads = [
        threading.Thread(
            target=lambda n: results.append(client.execute("general", "echo", {"n": n})), args=(n,)
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(str(result) for result in results) == [
        str({"echoed": {"n": n}}) for n in range(8)
    ]


def test_a_session_is_deleted_when_its_block_is_left(client: Client, server: Server) -> None:
    with client.session("general", ttl_seconds=60, context={"user": 1}) as session:
        assert session.id == SESSION
        assert session.details["worker"] == "general-x7k2p"
        session.execute("echo", {"a": 1}, timeout=1)

    assert server.asked == [
        ("POST", "/v1/sessions", b'{"pool":"general","ttl_seconds":60,"context":{"user":1}}'),
        ("POST", f"/v1/sessions/{SESSION}/execute/echo?timeout=1", b'{"a":1}'),
        ("DELETE", f"/v1/sessions/{SESSION}", b""),
    ]


async def test_a_session_is_deleted_when_its_block_fails(
    aclient: AsyncClient, server: Server
) -> None:
    with pytest.raises(errors.CommandFailed):
        async with aclient.session("general") as session:
            await session.execute("raise")

    assert server.asked[-1][0] == "DELETE"


async def test_a_session_can_be_attached_to_and_shown(client: Client, aclient: AsyncClient) -> None:
    assert client.attach(SESSION).show()["session_id"] == SESSION
    assert (await aclient.attach(SESSION).show())["session_id"] == SESSION
    with pytest.raises(errors.SessionNotFound):
        client.attach("none").delete()


async def test_the_cold_questions(client: Client, aclient: AsyncClient) -> None:
    assert client.pools() == await aclient.pools() == [POOL]
    assert client.pool("general") == await aclient.pool("general") == POOL
    assert client.commands("general") == await aclient.commands("general")
    assert client.workers("general") == await aclient.workers("general")
    assert client.sessions("general") == await aclient.sessions("general")
    assert client.version() == await aclient.version() == {"version": "0.1.0"}
    client.recycle("general", "general-x7k2p")
    await aclient.recycle("general", "general-x7k2p")


async def test_a_wrong_token_is_unauthenticated(server: Server) -> None:
    with Client(server.url, "wrong") as client, pytest.raises(errors.Unauthenticated):
        client.pools()
