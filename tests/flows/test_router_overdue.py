"""A worker that stands still: its callers are answered in time, nothing late reaches anybody."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import RouterHouse, command, router_house

from pythonpool import messages
from pythonpool.messages import MORE, OCTETS, SLOT_FREE, CancelReason, Kind

EXECUTE = "/v1/pools/general/execute/echo"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    async with router_house(tmp_path) as built:
        built.pool("general")
        await built.start()
        yield built


async def test_the_answer_comes_although_the_worker_is_silent(house: RouterHouse) -> None:
    """250 ms after the deadline at the latest, also when the worker can not say so."""
    worker = await house.worker("general", commands=[command("echo")])
    caller = await house.caller()
    began = asyncio.get_running_loop().time()

    caller.request("POST", EXECUTE + "?timeout=0.1", b"{}")
    reply = await caller.reply()

    took = asyncio.get_running_loop().time() - began
    assert (reply.status, reply.json()["code"]) == (504, "timeout")
    assert (reply.json()["cause"], reply.json()["outcome"]) == ("worker_silent", "unknown")
    assert reply.headers["pythonpool-worker"] == worker.name
    assert 0.3 <= took < 1.0


async def test_a_late_result_reaches_nobody(house: RouterHouse) -> None:
    """The next call on the same connection gets its own result, not a part of the late one."""
    worker = await house.worker("general", commands=[command("echo")], slots=2)
    caller = await house.caller()
    caller.request("POST", EXECUTE + "?timeout=0.05", b"{}")
    late = await worker.call()
    assert (await caller.reply()).status == 504

    caller.request("POST", EXECUTE, b"{}")
    sent = await worker.call()
    head = messages.RESULT_HEAD.pack(MORE | OCTETS | SLOT_FREE, 10, 100_000)
    worker.send(Kind.RESULT, late.number, head + bytes(50_000))
    worker.send(Kind.DATA, late.number, bytes(50_000))
    worker.send(Kind.END, late.number)
    worker.result(sent.number, b'"own"')

    assert (await caller.reply()).body == b'"own"'
    assert await worker.frame(Kind.CANCEL) == (late.number, bytes((CancelReason.CALLER_GONE,)))


async def test_a_long_result_that_crosses_a_cancel_is_forgotten(house: RouterHouse) -> None:
    """The worker drops its rest at the CANCEL and sends no END: the router must not wait for it."""
    worker = await house.worker("general", commands=[command("echo")])
    caller = await house.caller()
    caller.request("POST", EXECUTE, b"{}")
    sent = await worker.call()
    await caller.close()
    await worker.frame(Kind.CANCEL)

    head = messages.RESULT_HEAD.pack(MORE | SLOT_FREE, 10, 10_000_000)
    worker.send(Kind.RESULT, sent.number, head + bytes(60_000))
    for _ in range(20):  # more than the window: were the call still known, the link would be cut
        worker.send(Kind.DATA, sent.number, bytes(60_000))
    other = await house.caller()
    other.request("POST", EXECUTE, b"{}")
    worker.result((await worker.call()).number, b"2")

    assert (await other.reply()).body == b"2"
