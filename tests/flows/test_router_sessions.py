"""Session calls through real routers: routed by the handle, judged by the worker."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import LinkWorker, Reply, RouterHouse, router_house, spec

from pythonpool.messages import OPEN, SESSION, SLOT_FREE, Kind, Refusal
from pythonpool.names import SessionHandle


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    async with router_house(tmp_path) as built:
        built.pool("general")
        await built.start()
        yield built


def handle_on(worker: LinkWorker) -> SessionHandle:
    """A session that the worker may hold."""
    return SessionHandle.new(worker.pool, worker.name, worker.incarnation)


async def execute(
    house: RouterHouse, session: object, body: bytes = b"{}", index: int = 0
) -> Reply:
    """One call of a session."""
    return await house.ask("POST", f"/v1/sessions/{session}/execute/echo", body, index)


async def test_a_session_call_goes_to_its_worker(house: RouterHouse) -> None:
    """With its secret and the owner."""
    await house.worker("general")
    worker = await house.worker("general")
    session = handle_on(worker)
    call = asyncio.create_task(execute(house, session))
    sent = await worker.call()
    assert sent.call.flags & SESSION
    assert (sent.call.session.decode(), sent.call.owner) == (session.secret, b"local")
    worker.result(sent.number, b"1")
    assert (await call).status == 200


async def test_calls_of_one_session_run_one_after_the_other(house: RouterHouse) -> None:
    """Although slots are free; another session's call overtakes those that wait."""
    worker = await house.worker("general", slots=4)
    session, other = handle_on(worker), handle_on(worker)
    calls = [asyncio.create_task(execute(house, session, b"1"))]
    first = await worker.call()
    calls.append(asyncio.create_task(execute(house, session, b"2")))
    await house.until(lambda pool: pool["queued"] == 1, "general")
    calls.append(asyncio.create_task(execute(house, other, b"3")))
    overtaking = await worker.call()
    assert overtaking.call.body == b"3"
    worker.result(overtaking.number, b"3")
    worker.result(first.number, b"1")
    second = await worker.call()
    assert second.call.body == b"2"
    worker.result(second.number, b"2")
    assert [(await call).status for call in calls] == [200, 200, 200]


async def test_a_session_that_is_busy_elsewhere(house: RouterHouse) -> None:
    """REFUSE(session_busy) puts the call in line; the OFFER with the secret takes it out."""
    worker = await house.worker("general", slots=2)
    session = handle_on(worker)
    call = asyncio.create_task(execute(house, session))
    worker.refuse((await worker.call()).number, Refusal.SESSION_BUSY)
    await house.until(lambda pool: pool["queued"] == 1, "general")
    worker.send(Kind.OFFER, 0, b"\1" + session.secret.encode())
    worker.result((await worker.call()).number, b"1")
    assert (await call).status == 200


async def test_busy_too_long_is_session_busy(house: RouterHouse) -> None:
    """429 with its own cause."""
    worker = await house.worker("general", slots=2)
    session = handle_on(worker)
    running = asyncio.create_task(execute(house, session))
    sent = await worker.call()
    reply = await house.ask("POST", f"/v1/sessions/{session}/execute/echo?queue_timeout=0.1", b"{}")
    assert (reply.status, reply.json()["cause"]) == (429, "session_busy")
    worker.result(sent.number, b"1")
    assert (await running).status == 200


async def test_a_call_that_does_not_wait_for_a_slot_is_told_so(house: RouterHouse) -> None:
    """The session is free and the line empty: what it lacks is a slot, now."""
    worker = await house.worker("general")
    running = asyncio.create_task(execute(house, handle_on(worker)))
    sent = await worker.call()
    session = handle_on(worker)
    reply = await house.ask("POST", f"/v1/sessions/{session}/execute/echo?queue_timeout=0", b"{}")
    assert (reply.status, reply.json()["cause"]) == (429, "queue_timeout")
    worker.result(sent.number, b"1")
    assert (await running).status == 200


async def test_unknown_workers_and_malformed_handles(house: RouterHouse) -> None:
    """410 worker_gone; 404 when it is no handle at all."""
    worker = await house.worker("general")
    gone = SessionHandle.new("general", "general-xxxxx", worker.incarnation)
    other_life = SessionHandle.new("general", worker.name, "0" * 16)
    no_pool = SessionHandle.new("nowhere", worker.name, worker.incarnation)
    for session in (gone, other_life, no_pool):
        reply = await execute(house, session)
        problem = reply.json()
        assert (reply.status, problem["code"]) == (410, "session_lost")
        assert problem["cause"] == "worker_gone"
        assert reply.headers["pythonpool-execution-id"]
    assert (await execute(house, "nonsense")).json()["code"] == "session_not_found"


async def test_a_known_worker_that_has_not_dialled_is_waited_for(house: RouterHouse) -> None:
    """A new router must not call sessions lost that live."""
    late = LinkWorker("general")
    house.pools["general"]["workers"] = [
        {"name": late.name, "incarnation": late.incarnation, "state": "ready", "pid": 1}
    ]
    house.read_again()
    await house.until(lambda pool: True, "general")
    session = handle_on(late)
    call = asyncio.create_task(execute(house, session))
    await house.until(lambda pool: pool["queued"] == 1, "general")
    await house.dial(late)
    worker_sees = await late.call()
    assert worker_sees.call.session.decode() == session.secret
    late.result(worker_sees.number, b"1")
    assert (await call).status == 200


async def test_opening_a_session(house: RouterHouse) -> None:
    """A call with OPEN whose result is the session object."""
    worker = await house.worker("general")
    opening = asyncio.create_task(
        house.ask("POST", "/v1/sessions", b'{"pool":"general","ttl_seconds":60}')
    )
    sent = await worker.call()
    assert sent.call.flags & OPEN
    assert json.loads(sent.call.body) == {"ttl_seconds": 60}
    session = {"session_id": str(handle_on(worker)), "pool": "general"}
    worker.result(sent.number, json.dumps(session).encode())
    reply = await opening
    assert (reply.status, reply.json()) == (201, session)
    assert reply.headers["location"] == f"/v1/sessions/{session['session_id']}"


async def test_a_list_misses_only_what_may_hold_sessions(tmp_path: Path) -> None:
    """A worker that has never been ready has none; a ready one without a link may have some."""
    async with router_house(tmp_path) as house:
        for state in ("starting", "failed", "ready", "draining"):
            row = {"name": f"{state}-1", "incarnation": "0" * 16, "state": state, "pid": 1}
            house.pool(state, workers=[row])
        await house.start()
        answers = [
            (await house.ask("GET", f"/v1/sessions?pool={state}")).json() for state in house.pools
        ]

    assert [answer["incomplete"] for answer in answers] == [False, False, True, True]


async def test_no_room_for_sessions_anywhere(house: RouterHouse) -> None:
    """Each worker is asked once, then the caller is refused."""
    workers = [await house.worker("general") for _ in range(2)]
    opening = asyncio.create_task(house.ask("POST", "/v1/sessions", b'{"pool":"general"}'))
    for worker in workers:
        worker.refuse((await worker.call()).number, Refusal.SESSIONS_FULL)
    reply = await opening
    assert (reply.status, reply.json()["cause"]) == (429, "sessions_full")


async def test_deleting_a_session_ends_its_waiting_calls(house: RouterHouse) -> None:
    """They find no session; the running one is the worker's matter."""
    worker = await house.worker("general", slots=2)
    session = handle_on(worker)
    running = asyncio.create_task(execute(house, session))
    sent = await worker.call()
    waiting = asyncio.create_task(execute(house, session))
    await house.until(lambda pool: pool["queued"] == 1, "general")

    deleting = asyncio.create_task(house.ask("DELETE", f"/v1/sessions/{session}"))
    number, question = await worker.frame(Kind.ASK)
    assert json.loads(question) == {
        "op": "session.delete",
        "session": session.secret,
        "owner": "local",
    }
    worker.send(Kind.ANSWER, number, b"{}")

    assert (await deleting).status == 204
    assert (await waiting).json()["code"] == "session_not_found"
    worker.error(sent.number, code="cancelled", outcome="unknown", flags=SLOT_FREE)
    assert (await running).status == 499


async def test_a_freed_slot_goes_to_the_older_head(house: RouterHouse) -> None:
    """Of the pool's line and the worker's sessions."""
    worker = await house.worker("general")
    busy = asyncio.create_task(house.execute("general", "echo", b"0"))
    sent = await worker.call()
    session = handle_on(worker)
    calls = []
    for body, path in (
        (b"1", f"/v1/sessions/{session}/execute/echo"),
        (b"2", "/v1/pools/general/execute/echo"),
        (b"3", f"/v1/sessions/{session}/execute/echo"),
    ):
        calls.append(asyncio.create_task(house.ask("POST", path, body)))
        await house.queued(len(calls), "general")
    seen = []
    for _ in calls:
        worker.result(sent.number, b"x")
        sent = await worker.call()
        seen.append(sent.call.body)
    worker.result(sent.number, b"x")
    assert seen == [b"1", b"2", b"3"]
    assert {(await call).status for call in [busy, *calls]} == {200}


async def test_two_routers_share_one_bounded_worker(tmp_path: Path) -> None:
    """Each knows the worker; a handle works through both."""
    async with router_house(tmp_path) as house:
        house.pool("general", spec=spec(queue={"maxLength": 10, "timeoutSeconds": 5}))
        await house.start(index=0)
        await house.start(index=1)
        one = await house.worker("general", index=0)
        two = LinkWorker("general", name=one.name, incarnation=one.incarnation)
        await house.dial(two, index=1)
        session = handle_on(one)
        for index, end in ((0, one), (1, two)):
            call = asyncio.create_task(execute(house, session, index=index))
            end.result((await end.call()).number, b"1")
            assert (await call).status == 200
