"""Bodies and results that are longer than a frame, and streams of events."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import Caller, LinkWorker, RouterHouse, Sent, router_house

from pythonpool import messages
from pythonpool.messages import MORE, OCTETS, SLOT_FREE, STREAM, CancelReason, Kind

TARGET = "/v1/pools/general/execute/echo"
LONG = bytes(range(256)) * 4096

MANY = 200


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    async with router_house(tmp_path) as built:
        built.pool("general")
        await built.start()
        yield built


async def send_result(worker: LinkWorker, number: int, body: bytes, flags: int = 0) -> None:
    """A long result, under the window as an agent sends it."""
    first, rest = body[:60_000], body[60_000:]
    head = messages.RESULT_HEAD.pack(MORE | SLOT_FREE | flags, 10, len(body))
    worker.send(Kind.RESULT, number, head + first)
    window = messages.WINDOW
    while rest:
        while window < len(rest[: messages.MAX_PAYLOAD]):
            _, more = await worker.frame(Kind.CREDIT)
            window += messages.U32.unpack(more)[0]
        part, rest = rest[: messages.MAX_PAYLOAD], rest[messages.MAX_PAYLOAD :]
        window -= len(part)
        worker.send(Kind.DATA, number, part)
    worker.send(Kind.END, number)


async def test_a_long_body_reaches_the_worker_whole(house: RouterHouse) -> None:
    """Under the window, in order, after the slot was given."""
    worker = await house.worker("general")
    caller = await house.caller()

    caller.request("POST", TARGET, LONG)
    sent = await worker.call()

    assert sent.call.flags & MORE
    assert sent.call.body_bytes == len(LONG)
    assert await worker.body(sent) == LONG
    worker.result(sent.number, b"1")
    assert (await caller.reply()).status == 200


async def test_a_chunked_body_of_unknown_length(house: RouterHouse) -> None:
    """What fits into one frame needs no second; what does not is of unknown length."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, None, Transfer_Encoding="chunked")
    caller.send(b"5\r\nhello\r\n0\r\n\r\n")
    sent = await worker.call()
    assert (sent.call.body, sent.call.body_bytes) == (b"hello", 5)
    worker.result(sent.number, b"1")
    await caller.reply()

    caller.request("POST", TARGET, None, Transfer_Encoding="chunked")
    caller.send(b"%x\r\n%b\r\n" % (len(LONG), LONG))
    sent = await worker.call()
    assert sent.call.body_bytes == messages.UNKNOWN
    caller.send(b"0\r\n\r\n")
    assert await worker.body(sent) == LONG


async def test_a_refused_long_body_is_sent_again_whole(house: RouterHouse) -> None:
    """Nothing of it is lost with the refusal."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, LONG)
    first = await worker.call()

    worker.refuse(first.number, messages.Refusal.SLOTS)
    worker.send(Kind.OFFER, 0, b"\0")
    second = await worker.call()

    assert second.number > first.number
    assert await worker.body(second) == LONG


async def test_a_long_result_streams_to_the_caller(house: RouterHouse) -> None:
    """Content-Length from the total; the window opens as the caller takes."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    sent = await worker.call()

    answering = asyncio.create_task(send_result(worker, sent.number, LONG, OCTETS))
    reply = await caller.reply()
    await answering

    assert reply.body == LONG
    assert reply.headers["content-type"] == "application/octet-stream"
    caller.request("POST", TARGET, b"{}")
    worker.result((await worker.call()).number, b"2")
    assert (await caller.reply()).body == b"2"


async def test_a_body_over_the_limit_is_refused(house: RouterHouse) -> None:
    """413 before a byte of it is read."""
    await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, None, Content_Length=str(17 * 2**20), Expect="100-continue")
    reply = await caller.reply()
    assert (reply.status, reply.json()["code"]) == (413, "payload_too_large")
    assert reply.headers["connection"] == "close"
    assert await caller.is_closed()


async def test_expect_is_answered_before_the_body(house: RouterHouse) -> None:
    """A caller that asks first is told to go on."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, None, Content_Length="2", Expect="100-continue")
    assert (await caller.head()).status == 100
    caller.send(b"[]")
    sent = await worker.call()
    assert sent.call.body == b"[]"


async def test_a_body_that_stalls_frees_the_slot(house: RouterHouse) -> None:
    """408 and CANCEL: a slot never waits for a network."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, None, Content_Length="1000000")
    caller.send(LONG[:100_000])
    sent = await worker.call()
    worker.send(Kind.ACCEPT, sent.number)

    number, reason = await worker.frame(Kind.CANCEL)

    assert (number, reason[0]) == (sent.number, CancelReason.SLOW_BODY)
    reply = await caller.reply()
    assert (reply.status, reply.json()["code"]) == (408, "request_timeout")
    assert reply.json()["outcome"] == "not_started"


async def test_a_short_body_that_stalls_takes_no_slot(house: RouterHouse) -> None:
    """It is given up after two seconds, and no worker has heard of it."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, None, Content_Length="10")
    caller.send(b"[1")
    reply = await caller.reply()
    assert (reply.status, reply.json()["code"]) == (408, "request_timeout")
    assert worker.calls.empty()


async def events(caller: Caller) -> AsyncIterator[dict[str, str]]:
    """The events of a stream that has begun."""
    text = ""
    while part := await caller.chunk():
        text += part.decode()
        while "\n\n" in text:
            event, text = text.split("\n\n", 1)
            yield dict(line.split(": ", 1) for line in event.split("\n"))


async def test_a_stream_of_events(house: RouterHouse) -> None:
    """progress, chunk, result: each with an id that counts up."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}", Accept="text/event-stream")
    sent = await worker.call()
    assert sent.call.flags & STREAM

    worker.send(Kind.BEGIN, sent.number)
    worker.send(Kind.PROGRESS, sent.number, b'{"fraction":0.5}')
    worker.send(Kind.CHUNK, sent.number, b"\x00[1,\n2]")
    worker.result(sent.number, b"null")
    head = await caller.head()
    seen = [event async for event in events(caller)]

    assert head.headers["content-type"] == "text/event-stream"
    assert head.headers["pythonpool-worker"] == worker.name
    assert "run" not in head.headers["server-timing"]
    assert seen == [
        {"id": "1", "event": "progress", "data": '{"fraction":0.5}'},
        {"id": "2", "event": "chunk", "data": "[1, 2]"},
        {"id": "3", "event": "result", "data": "null"},
    ]


async def test_an_error_after_the_begin_is_an_event(house: RouterHouse) -> None:
    """Before it, an ordinary answer with its own status."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}", Accept="text/event-stream")
    worker.error((await worker.call()).number, code="invalid_argument", outcome="not_started")
    assert (await caller.reply()).status == 400

    caller.request("POST", TARGET, b"{}", Accept="text/event-stream")
    sent = await worker.call()
    worker.send(Kind.BEGIN, sent.number)
    worker.error(sent.number, code="command_failed", outcome="finished")
    assert (await caller.head()).status == 200
    (event,) = [event async for event in events(caller)]
    assert event["event"] == "error"
    problem = json.loads(event["data"])
    assert (problem["code"], problem["worker"]) == ("command_failed", worker.name)


async def test_long_and_binary_results_of_streams(house: RouterHouse) -> None:
    """A bytes result stands as $bytes, also when it comes in parts."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}", Accept="text/event-stream")
    sent = await worker.call()
    worker.send(Kind.BEGIN, sent.number)
    answering = asyncio.create_task(send_result(worker, sent.number, LONG, OCTETS))
    await caller.head()
    (event,) = [event async for event in events(caller)]
    await answering
    assert base64.b64decode(json.loads(event["data"])["$bytes"]) == LONG


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "pipelined"])
async def test_who_takes_no_answers_gets_no_more(house: RouterHouse, at_once: bool) -> None:
    """They would fill the router's memory; whoever reads on gets all of them."""
    asked = 0

    def answer(worker: LinkWorker, sent: Sent) -> None:
        nonlocal asked
        greedy = sent.call.body == b"1"
        asked += greedy
        worker.result(sent.number, b"x" * 60_000 if greedy else b"1")

    await house.worker("general", slots=2, on_call=answer)
    caller = await house.caller()
    for _ in range(MANY if at_once else 1):
        caller.request("POST", "/v1/pools/general/execute/echo", b"1")
    for number in range(MANY):
        assert (await house.execute("general", "echo", b"2")).status == 200
        if not at_once and number:
            caller.request("POST", "/v1/pools/general/execute/echo", b"1")
    assert asked < MANY // 4
    for _ in range(MANY):
        assert len((await caller.reply()).body) == 60_000
    assert asked == MANY


async def test_a_caller_that_goes_while_its_result_comes(house: RouterHouse) -> None:
    """The worker is told to drop the rest, and the link lives."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    sent = await worker.call()
    head = messages.RESULT_HEAD.pack(MORE | SLOT_FREE, 10, len(LONG))
    worker.send(Kind.RESULT, sent.number, head + LONG[:1000])
    await caller.head()
    caller.writer.transport.abort()
    assert (await worker.frame(Kind.CANCEL))[0] == sent.number
    worker.send(Kind.DATA, sent.number, LONG[1000:60_000])
    task = asyncio.create_task(house.execute("general", "echo"))
    worker.result((await worker.call()).number, b"3")
    assert (await task).body == b"3"
