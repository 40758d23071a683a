"""Workers that lie to a real router: about their pool, slots, ids and lengths.

Each lie costs the liar its link, or nothing; calls of the other pool are answered meanwhile.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from router_house import SECONDS, Caller, LinkWorker, RouterHouse, command, echo, router_house

from pythonpool import messages, names
from pythonpool.messages import MORE, SLOT_FREE, Kind

TARGET = "/v1/pools/liar/execute/echo"
SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
FUZZ_LINKS = 500


class Honest(LinkWorker):
    """Has no sessions, and says so when it is asked."""

    def send_answers(self) -> None:
        """Answer the questions that have come."""
        while not self.frames.empty():
            kind, number, _ = self.frames.get_nowait()
            if kind == Kind.ASK:
                self.send(Kind.ANSWER, number, b'{"items": []}')

    def data_received(self, data: bytes) -> None:
        """Frames of the router."""
        super().data_received(data)
        self.send_answers()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    """Two pools: one of an honest worker, one for liars."""
    async with router_house(tmp_path) as built:
        built.pool("honest", secret="other")
        built.pool("liar")
        await built.start()
        await built.dial(Honest("honest", secret="other", on_call=echo))
        yield built
        await fine(built)


async def fine(house: RouterHouse) -> None:
    """The honest pool is as it was, and so are the answers about everything."""
    assert (await house.execute("honest", "echo", b"[1]")).body == b"[1]"
    assert (await house.ask("POST", "/v1/execute/nothing", b"{}")).status == 404
    for target in ("/v1/pools", "/v1/sessions", "/v1/pools/honest/workers", "/metrics"):
        assert (await house.ask("GET", target)).status == 200, target
    pool = (await house.ask("GET", "/v1/pools/honest")).json()
    assert (pool["workers"], pool["available"], pool["total"]) == (1, 1, 1)


def terminal(total: int, body: bytes, flags: int = SLOT_FREE) -> bytes:
    """The payload of a RESULT that says `total` and carries `body`."""
    return messages.RESULT_HEAD.pack(flags, 10, total) + body


LIES: dict[str, list[tuple[int, bytes]]] = {
    "a result longer than it says": [(Kind.RESULT, terminal(2, b"{}" + SMUGGLED))],
    "a result shorter than it says": [(Kind.RESULT, terminal(100, b"{}"))],
    "MORE where nothing follows": [(Kind.RESULT, terminal(2, b"{}", MORE | SLOT_FREE))],
    "the end of no body": [(Kind.END, b"")],
    "data of no body": [(Kind.DATA, SMUGGLED)],
    "progress of no stream": [(Kind.PROGRESS, b"{}")],
    "a chunk of no stream": [(Kind.CHUNK, b"\0" + SMUGGLED)],
    "an empty result": [(Kind.RESULT, b"")],
    "an error that is no JSON": [(Kind.ERROR, messages.END_HEAD.pack(0, 1) + b"{")],
    "an error that is a list": [(Kind.ERROR, messages.END_HEAD.pack(0, 1) + b"[]")],
    "an empty refusal": [(Kind.REFUSE, b"")],
    "a refusal without a reason": [(Kind.REFUSE, b"\x63")],
    "a busy session of a call without one": [(Kind.REFUSE, b"\x02")],
    "a frame of a router": [(Kind.CALL, b"x" * 40)],
    "an empty OFFER": [(Kind.OFFER, b"")],
    "STATUS without members": [(Kind.STATUS, b"{}")],
}


async def test_a_lie_about_a_call_costs_the_link(house: RouterHouse) -> None:
    """The caller is told once, at once; the next answer on its connection is of its next call."""
    for name, frames in LIES.items():
        await one_lie(house, name, frames)


async def one_lie(house: RouterHouse, name: str, frames: list[tuple[int, bytes]]) -> None:
    """A worker that is asked once, and lies."""
    liar = await house.worker("liar")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    sent = await liar.call()

    for kind, payload in frames:
        liar.send(kind, sent.number, payload)
    reply = await caller.reply()

    assert (reply.status, reply.json()["code"]) == (502, "worker_crashed"), name
    assert reply.json()["cause"] == "link_lost", name
    await asyncio.wait_for(liar.lost, SECONDS)
    caller.request("POST", "/v1/pools/honest/execute/echo", b"[2]")
    assert (await caller.reply()).body == b"[2]", name
    await caller.close()


async def test_the_end_of_a_body_comes_once(house: RouterHouse) -> None:
    """A second one does not end the answer to another call."""
    liar = await house.worker("liar")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    number = (await liar.call()).number
    liar.send(Kind.RESULT, number, terminal(4, b"ab", MORE | SLOT_FREE))
    liar.send(Kind.DATA, number, b"cd")
    liar.send(Kind.END, number)
    liar.send(Kind.END, number)
    liar.send(Kind.RESULT, number, terminal(2, b"ef"))
    assert (await caller.reply()).body == b"abcd"
    caller.request("POST", "/v1/pools/honest/execute/echo", b"[3]")
    assert (await caller.reply()).body == b"[3]"


async def test_a_stream_that_is_out_of_order_is_cut(house: RouterHouse) -> None:
    """A RESULT in the middle of a chunk: the caller sees that its stream is not whole."""
    liar = await house.worker("liar")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}", Accept="text/event-stream")
    number = (await liar.call()).number
    liar.send(Kind.BEGIN, number)
    liar.send(Kind.CHUNK, number, bytes((MORE,)) + b"[1,")
    liar.send(Kind.RESULT, number, terminal(4, b"null"))
    await caller.head()
    assert not (await caller.reader.read()).endswith(b"0\r\n\r\n")


async def test_a_worker_that_refuses_for_ever_keeps_no_caller(house: RouterHouse) -> None:
    """The queue timeout holds although the call never stands in the line for long."""

    def refuse(worker: LinkWorker, sent: Any) -> None:
        worker.refuse(sent.number, messages.Refusal.SLOTS)
        worker.send(Kind.FREE, 0, messages.U16.pack(60_000))

    await house.worker("liar", on_call=refuse)
    reply = await house.execute("liar", "echo", query="?queue_timeout=0.5")
    assert (reply.status, reply.json()["cause"]) == (429, "queue_timeout")


class Liar(LinkWorker):
    """Says of itself what is not so."""

    told: dict[str, Any]

    def hello(self) -> dict[str, Any]:
        """An honest HELLO with some members changed."""
        return {**super().hello(), **self.told}


HELLOS: list[dict[str, Any]] = [
    {"pool": "honest"},
    {"secret": "other"},
    {"secret": None},
    {"pool": ["liar"]},
    {"slots": 10**6},
    {"slots": True},
    {"worker": "../honest"},
    {"incarnation": "x"},
    {"catalogue": [{"name": 7}]},
    {"catalogue": [{"name": "echo", "timeout_seconds": "soon"}]},
    {"catalogue": {"echo": {}}},
    {"state": {}},
    {"generation": "1"},
    {"started_at": []},
    {"protocol": [2, 3]},
    {"protocol": ["a", "b"]},
    {"protocol": 1},
]


async def test_a_hello_that_lies_is_nobody(house: RouterHouse) -> None:
    """It is cut off, and no pool has a worker more."""
    for told in HELLOS:
        liar = Liar("liar")
        liar.told = told
        await house.connect(liar)
        await asyncio.wait_for(liar.lost, SECONDS)
        assert (await house.ask("GET", "/v1/pools/liar")).json()["workers"] == 0, told


async def test_a_worker_that_answers_for_sessions_of_others(house: RouterHouse) -> None:
    """Lists show none of them, and no field of a head is written by a worker."""
    liar = await house.worker("liar")
    opening = asyncio.create_task(house.ask("POST", "/v1/sessions", b'{"pool": "liar"}'))
    sent = await liar.call()
    liar.result(sent.number, b'{"session_id": "x\\r\\nSet-Cookie: a=b\\r\\n\\r\\n"}')
    reply = await opening
    assert (reply.status, reply.json()["code"]) == (502, "worker_crashed")
    assert "set-cookie" not in reply.headers

    other = str(names.SessionHandle.new("honest", "honest-abcde", "0" * 16))
    lies: list[Any] = [[{"session_id": other}], [7], "none", [{}]]
    for items in lies:
        listing = asyncio.create_task(house.ask("GET", "/v1/sessions"))
        number, _ = await liar.frame(Kind.ASK)
        liar.send(Kind.ANSWER, number, json.dumps({"items": items}).encode())
        reply = await listing
        assert (reply.status, reply.json()["items"]) == (200, [])
    liar.transport.abort()


MANY_LINKS = 60


async def test_a_pool_has_no_more_links_than_its_workers_need(house: RouterHouse) -> None:
    """Who knows a pool's secret can dial often; the router holds a few, and others are served."""
    liars = [Liar("liar") for _ in range(MANY_LINKS)]
    for liar in liars:
        liar.told = {}
        await house.connect(liar)
    await fine(house)
    state = (await house.ask("GET", "/v1/pools/liar")).json()
    assert 2 <= state["workers"] <= 20
    held = [liar for liar in liars if not liar.lost.done()]
    assert len(held) == state["workers"]
    for liar in held:
        liar.transport.abort()


async def test_a_catalogue_too_long_costs_the_link(house: RouterHouse) -> None:
    """A thousand commands at most."""
    liar = await house.worker("liar")
    liar.status(catalogue=[{"name": f"c{number}"} for number in range(1001)])
    await asyncio.wait_for(liar.lost, SECONDS)


class Babbler(LinkWorker):
    """Answers each call, and otherwise says what comes to its mind, by seed."""

    chance: random.Random

    def babble(self, number: int) -> None:
        """Some frames, most of them of a kind that workers send, about a call that there is."""
        chance = self.chance
        for _ in range(chance.randrange(1, 6)):
            kind = chance.choice(list(Kind)) if chance.random() < 0.9 else chance.randrange(256)
            about = chance.choice((number, number, 0, number - 1, number + 1, 2**64 - 1))
            body = chance.randbytes(chance.randrange(40))
            payload = chance.choice(
                (b"", body, terminal(len(body), body), b"\0", b"{}", b"\xff" * 9)
            )
            if kind != Kind.HELLO and not self.transport.is_closing():
                self.send(kind, about, payload)
        if chance.random() < 0.2:
            self.transport.write(chance.randbytes(30))


async def one_babble(house: RouterHouse, seed: int) -> None:
    """One link, one caller: it gets exactly one answer, or a connection that was cut."""
    worker = Babbler("liar", commands=[command("echo")])
    worker.chance = random.Random(seed)
    await house.dial(worker)
    caller = await house.caller()
    accept = worker.chance.choice(("*/*", "text/event-stream"))
    caller.request("POST", TARGET + "?timeout=2&queue_timeout=0.2", b"{}", Accept=accept)
    sent = await worker.call()
    worker.babble(sent.number)
    worker.result(sent.number, b"[4]")
    worker.transport.close()  # a result that was begun gets no rest
    try:
        reply = await caller.reply()
    except (asyncio.IncompleteReadError, ValueError):
        pass  # a stream, or a body, that was cut and seen to be so
    else:
        # 503: it refused the call, and with its link the pool's only worker was gone.
        assert reply.status < 500 or reply.status in (502, 503, 504), (seed, reply)
        await one_answer_each(caller, seed)
    await asyncio.wait_for(worker.lost, SECONDS)
    await caller.close()


async def one_answer_each(caller: Caller, seed: int) -> None:
    """The next answer on the connection is the next request's, and nothing stands behind it."""
    caller.request("POST", "/v1/pools/honest/execute/echo", b"[5]", Connection="close")
    assert (await caller.reply()).body == b"[5]", seed
    assert await caller.is_closed()


async def test_workers_that_babble(house: RouterHouse) -> None:
    """Random frames by seed: no connection of a caller gets out of step."""
    for seed in range(FUZZ_LINKS):
        await one_babble(house, seed)
    assert [process.returncode for process in house.processes] == [None]
