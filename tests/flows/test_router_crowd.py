"""More callers than a router has descriptors for: who runs goes on, who idles goes, others wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import SECONDS, Caller, RouterHouse, echo, router_house

FILES = 96
CROWD = 150
EXECUTE = "/v1/pools/general/execute/echo"
HALF_A_HEAD = f"POST {EXECUTE} HTTP/1.1\r\nHost: local".encode()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    """A router that may open few files."""
    async with router_house(tmp_path) as built:
        built.pool("general")
        built.pool("slow")
        await built.start(files=FILES)
        yield built


def descriptors(house: RouterHouse) -> int:
    """How many the router has open."""
    return len(list(Path(f"/proc/{house.processes[0].pid}/fd").iterdir()))


async def gone(callers: list[Caller]) -> None:
    """All of them close."""
    for caller in callers:
        with contextlib.suppress(ConnectionError):
            await caller.close()


async def test_calls_and_workers_go_on_while_a_crowd_waits(house: RouterHouse) -> None:
    """A running call ends, a worker dials in; who waits at the door is served when others go."""
    worker = await house.worker("slow")
    running = await house.caller()
    running.request("POST", "/v1/pools/slow/execute/echo", b"[1]")
    sent = await worker.call()
    crowd = [await house.caller() for _ in range(CROWD)]
    for caller in crowd:
        caller.send(HALF_A_HEAD)

    await house.worker("general", on_call=echo)
    worker.result(sent.number, b"[1]")
    assert (await running.reply()).body == b"[1]"
    running.request("POST", EXECUTE, b"[2]")
    assert (await running.reply()).body == b"[2]"

    late = await house.caller()
    late.request("POST", EXECUTE, b"[3]")
    assert descriptors(house) < FILES
    await gone(crowd)
    assert (await late.reply()).body == b"[3]"
    assert [process.returncode for process in house.processes] == [None]


async def test_idle_connections_make_room(house: RouterHouse) -> None:
    """The longest idle are closed; nobody waits for them."""
    await house.worker("general", on_call=echo)
    before = descriptors(house)
    idle = [await house.caller() for _ in range(CROWD)]
    for number in range(20):
        assert (await house.execute("general", "echo", b"[%d]" % number)).body == b"[%d]" % number
    assert await idle[0].is_closed()
    await gone(idle)
    async with asyncio.timeout(SECONDS):
        while descriptors(house) > before:
            await asyncio.sleep(0.01)
