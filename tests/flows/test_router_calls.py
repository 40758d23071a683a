"""Calls through a real router to a worker that speaks frames."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import RouterHouse, command, echo, router_house, spec

from pythonpool.messages import CancelReason, Kind


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    async with router_house(tmp_path) as built:
        built.pool("general")
        yield built


async def test_a_call_goes_to_a_worker_and_back(house: RouterHouse) -> None:
    """The main path: args and result untouched, and the three headers."""
    await house.start()
    worker = await house.worker("general", on_call=echo)

    reply = await house.execute("general", "echo", b'{"message":"hi"}')

    assert reply.status == 200
    assert reply.body == b'{"message":"hi"}'
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["pythonpool-worker"] == worker.name
    assert (await worker.greeted)["router"] in reply.headers["pythonpool-execution-id"]
    assert reply.headers["server-timing"].startswith("queue;dur=")


async def test_what_the_worker_is_told(house: RouterHouse) -> None:
    """Time to run, owner, traceparent and age stand in the CALL."""
    await house.start()
    worker = await house.worker("general", commands=[command("echo", timeout_seconds=5)])
    caller = await house.caller()

    caller.request("POST", "/v1/pools/general/execute/echo", b"{}", traceparent="00-ab-cd-01")
    sent = await worker.call()

    assert sent.call.timeout_ms == 5000
    assert sent.call.owner == b"local"
    assert sent.call.traceparent == b"00-ab-cd-01"
    assert sent.call.line_ms == 0xFFFFFFFF
    caller.request("POST", "/v1/pools/general/execute/echo?timeout=2.5", b"{}")
    worker.result(sent.number, b"1")
    assert (await worker.call()).call.timeout_ms == 2500


async def test_a_caller_that_goes_is_cancelled(house: RouterHouse) -> None:
    """Nobody computes for a caller who is not there any more."""
    await house.start()
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", "/v1/pools/general/execute/echo", b"{}")
    sent = await worker.call()

    await caller.close()

    number, reason = await worker.frame(Kind.CANCEL)
    assert (number, reason[0]) == (sent.number, CancelReason.CALLER_GONE)


async def test_a_full_line_is_refused_at_once(tmp_path: Path) -> None:
    """Callers back off instead of piling up: the answer is immediate and carries a time."""
    async with router_house(tmp_path) as house:
        house.pool("general", spec=spec(queue={"maxLength": 1, "timeoutSeconds": 10}))
        await house.start()
        worker = await house.worker("general")
        calls = [asyncio.create_task(house.execute("general", "echo")) for _ in range(3)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

        refused = done.pop().result()

        assert refused.status == 429
        problem = refused.json()
        assert problem["code"] == "resource_exhausted"
        assert problem["cause"] == "queue_full"
        assert problem["retry_after_ms"] > 0
        assert int(refused.headers["retry-after"]) >= 1
        assert problem["execution_id"] == refused.headers["pythonpool-execution-id"]
        for _ in waiting:
            worker.result((await worker.call()).number, b"1")
        assert {(await call).status for call in waiting} == {200}
