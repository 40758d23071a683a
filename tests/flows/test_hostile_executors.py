"""Executors that lie to a real agent: an adapter can write to its channel what it likes.

Each lie costs the liar its process and its caller an error; the call beside it, the link to the
router and the agent's memory do not notice. Keepers, whose user is the adapter's too, can lie less.
"""

import asyncio
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from agent_stage import FakeExecutor, Frame, Stage, stage

from pythonpool.messages import (
    END_HEAD,
    MAX_PAYLOAD,
    MORE,
    RESULT_HEAD,
    SNAPSHOT_HEAD,
    STREAM,
    Kind,
    header,
)

TWO = {"concurrency": 2, "results": {"maxBytes": "1Mi"}, "sessions": {"maxStateBytes": 1000}}
FUZZED = 150
GROWTH_BYTES = 24 * 2**20
BEGIN = (Kind.BEGIN, b"")
_RESULT = RESULT_HEAD.pack(0, 5, 2) + b"{}"


def problem(**members: Any) -> bytes:
    """The payload of an ERROR."""
    return END_HEAD.pack(0, 1) + json.dumps(members).encode()


LIES: dict[str, list[tuple[int, bytes]]] = {
    "an empty RESULT": [(Kind.RESULT, b"")],
    "half a RESULT": [(Kind.RESULT, b"\0\0")],
    "an ERROR that is no JSON": [(Kind.ERROR, END_HEAD.pack(0, 1) + b"{")],
    "an ERROR that is a list": [(Kind.ERROR, END_HEAD.pack(0, 1) + b"[]")],
    "an ERROR of the router": [(Kind.ERROR, problem(code="unauthenticated"))],
    "an ERROR whose code is a list": [(Kind.ERROR, problem(code=["command_failed"]))],
    "an empty ERROR": [(Kind.ERROR, b"")],
    "DATA of nothing": [(Kind.DATA, b"x")],
    "an END of nothing": [(Kind.END, b"")],
    "progress before the beginning": [(Kind.PROGRESS, b"{}")],
    "progress that is no JSON": [BEGIN, (Kind.PROGRESS, b"\r\n\r\nHTTP/1.1 200 OK")],
    "a chunk before the beginning": [(Kind.CHUNK, b"\x001")],
    "an empty chunk": [BEGIN, (Kind.CHUNK, b"")],
    "a chunk in a chunk": [BEGIN, (Kind.CHUNK, bytes((MORE,)) + b"[1"), (Kind.CHUNK, b"\x002")],
    "a result in a chunk": [BEGIN, (Kind.CHUNK, bytes((MORE,)) + b"[1"), (Kind.RESULT, _RESULT)],
    "two beginnings": [BEGIN, BEGIN],
    "an empty snapshot": [(Kind.SNAPSHOT, b"")],
    "a result in a result": [
        (Kind.RESULT, RESULT_HEAD.pack(MORE, 5, 9) + b"{}"), (Kind.RESULT, _RESULT)
    ],
    "a frame of 4 GiB": [(-1, b"")],
}  # fmt: skip


async def tell(executor: FakeExecutor, number: int, frames: list[tuple[int, bytes]]) -> None:
    """Send the lie."""
    for kind, payload in frames:
        if kind < 0:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(executor._end, header(Kind.DATA, number, 2**32 - 100))
        else:
            await executor.send(kind, number, payload)


async def terminal(here: Stage, number: int) -> Frame:
    """The end of that call; what came of its stream is dropped."""
    while True:
        got = await here.router.inbox.next()
        assert got.number == number, got
        if got.kind in (Kind.RESULT, Kind.ERROR, Kind.CANCELLED):
            return got


async def is_fine(here: Stage, neighbour: FakeExecutor, own: int, number: int) -> None:
    """The call that ran beside the liar is answered, over the same link."""
    await neighbour.result(own, b'"untouched"')
    answer = await here.router.inbox.next(Kind.RESULT)
    assert (answer.number, answer.body) == (number, b'"untouched"')
    assert here.agent.returncode is None


async def test_a_lie_costs_the_liar_alone() -> None:
    """worker_crashed for its caller, at once; and a fresh executor takes the next call."""
    async with stage(TWO) as here:
        for name, frames in LIES.items():
            number = here.router.call("honest")
            neighbour = await here.keeper.working()
            own, _ = await neighbour.run()
            told = here.router.call("lying", flags=STREAM)
            liar = await here.keeper.working()
            about, _ = await liar.run()

            await tell(liar, about, frames)
            answer = await terminal(here, told)
            assert (answer.kind, answer.json["code"]) == (Kind.ERROR, "worker_crashed"), name
            await is_fine(here, neighbour, own, number)
        assert here.router.connected.is_set()
        assert (await here.router.status())["busy"] == 0


async def test_frames_about_other_calls_are_nobodys() -> None:
    """Numbers of the past, of the future and of the neighbour mean nothing on another's channel."""
    async with stage(TWO) as here:
        number = here.router.call("honest")
        neighbour = await here.keeper.working()
        own, _ = await neighbour.run()
        told = here.router.call("lying")
        liar = await here.keeper.working()
        about, _ = await liar.run()
        for other in (own, 0, about + 1, about + 2, 2**64 - 1):
            await liar.result(other, b'"stolen"')
            await liar.error(other, {"code": "command_failed"})
        await liar.result(about, b'"mine"')
        assert (await terminal(here, told)).body == b'"mine"'
        await is_fine(here, neighbour, own, number)
        assert json.loads((await here.serve_one(b'"fresh"')).body) == "fresh"


def resident_bytes(here: Stage) -> int:
    """What the agent has in memory."""
    text = Path(f"/proc/{here.agent.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_floods_stay_outside() -> None:
    """Progress without pause is thinned out, a state and a result without end are not kept."""
    async with stage(TWO) as here:
        before = resident_bytes(here)
        told = here.router.call("flood", flags=STREAM)
        flood = await here.keeper.working()
        about, _ = await flood.run()
        await flood.send(Kind.BEGIN, about)
        for number in range(5000):
            await flood.send(Kind.PROGRESS, about, b'{"fraction":%d}' % number)
        await flood.send(Kind.SNAPSHOT, about, SNAPSHOT_HEAD.pack(MORE, 10**6))
        for _ in range(1000):
            await flood.send(Kind.DATA, about, b"s" * MAX_PAYLOAD)
        await flood.send(Kind.END, about)
        await flood.send(Kind.RESULT, about, RESULT_HEAD.pack(MORE, 5, 4))
        for _ in range(100):
            await flood.send(Kind.DATA, about, b"r" * MAX_PAYLOAD)
        answer = await terminal(here, told)
        assert answer.json["code"] == "result_too_large"
        progress = [each for each in here.router.inbox.seen if each.kind == Kind.PROGRESS]
        assert len(progress) < 2000
        assert resident_bytes(here) - before < GROWTH_BYTES


async def test_executors_that_babble_by_seed() -> None:
    """Random frames: the neighbour is answered each time, the link stays."""
    async with stage(TWO) as here:
        for seed in range(FUZZED):
            chance = random.Random(seed)
            number = here.router.call("honest")
            neighbour = await here.keeper.working()
            own, _ = await neighbour.run()
            told = here.router.call("babble", flags=chance.choice((0, STREAM)))
            babbler = await here.keeper.working()
            about, _ = await babbler.run()
            await babble(babbler, about, chance)
            await babbler.result(about)
            assert (await terminal(here, told)).number == told
            await is_fine(here, neighbour, own, number)
        assert here.router.connected.is_set()


async def babble(executor: FakeExecutor, about: int, chance: random.Random) -> None:
    """Some frames, most of them of a kind that executors send."""
    for _ in range(chance.randrange(1, 6)):
        kind = chance.choice(list(Kind)) if chance.random() < 0.9 else chance.randrange(256)
        body = chance.randbytes(chance.randrange(40))
        payload = chance.choice((b"", body, _RESULT, b"\1" + body, b"\0{}", b"{}", b"\xff" * 9))
        await executor.send(kind, chance.choice((about, about, about, 0, about + 1)), payload)


PACKETS: list[dict[str, Any]] = [
    {"t": "executor", "id": [], "pid": 1},
    {"t": "executor", "id": 10**9, "pid": 1},
    {"t": "executor"},
    {"t": "exited", "id": {}, "cause": 7},
    {"t": "killed"},
    {"t": "memory", "bytes": "many"},
    {"t": "memory"},
    {"t": "template", "state": "ready", "catalogue": None},
    {"t": ["template"]},
    {},
]


async def test_packets_that_are_none() -> None:
    """They are passed over; descriptors that come with them are closed, whatever they are."""
    async with stage(TWO) as here:
        before = len(os.listdir(f"/proc/{here.agent.pid}/fd"))
        with tempfile.TemporaryFile() as file:
            for packet in PACKETS * 20:
                here.keeper.say(packet, file.fileno())
                await asyncio.sleep(0)
        assert (await here.serve_one(b"7")).body == b"7"
        assert len(os.listdir(f"/proc/{here.agent.pid}/fd")) <= before + 2
        assert isinstance((await here.router.status())["memory_bytes"], int)
