"""Long args, long results and streams, under the windows of both sides."""

import asyncio
import os

from agent_stage import FakeExecutor, Stage, stage

from pythonpool.messages import (
    MAX_PAYLOAD,
    MORE,
    RESULT_HEAD,
    SLOT_FREE,
    STREAM,
    U32,
    WINDOW,
    CancelReason,
    Kind,
)

_ROOM = MAX_PAYLOAD - RESULT_HEAD.size


async def long_result(here: Stage, body: bytes) -> int:
    """Run a call that answers with `body` in parts; its number."""
    number = here.router.call()
    executor = await here.keeper.working()
    own, _ = await executor.run()
    head = RESULT_HEAD.pack(MORE, 7, len(body))
    await executor.send(Kind.RESULT, own, head + body[:_ROOM])
    for at in range(_ROOM, len(body), MAX_PAYLOAD):
        await executor.send(Kind.DATA, own, body[at : at + MAX_PAYLOAD])
    await executor.send(Kind.END, own)
    return number


async def test_args_come_in_parts_once_the_slot_is_taken() -> None:
    body = os.urandom(400_000)
    async with stage() as here:
        number = here.router.call("echo", body[:10_000], flags=MORE)
        await here.router.inbox.next(Kind.ACCEPT)
        credit = 0
        for at in range(10_000, len(body), 60_000):
            here.router.send(Kind.DATA, number, body[at : at + 60_000])
        here.router.send(Kind.END, number)
        executor = await here.keeper.working()
        own, run = await executor.run()
        received = run.body
        while True:
            part = await executor.inbox.next()
            if part.kind == Kind.END:
                break
            received += part.payload
        await executor.result(own)
        while (frame := await here.router.inbox.next()).kind == Kind.CREDIT:
            credit += U32.unpack(frame.payload)[0]

        assert received == body
        assert frame.kind == Kind.RESULT
        assert credit >= len(body) - 10_000 - WINDOW


async def test_a_body_that_does_not_come_frees_its_slot_at_once() -> None:
    async with stage() as here:
        number = here.router.call("echo", b"", flags=MORE)
        await here.router.inbox.next(Kind.ACCEPT)
        here.router.send(Kind.CANCEL, number, bytes((CancelReason.SLOW_BODY,)))
        answer = await here.router.inbox.next(Kind.CANCELLED)

        assert answer.flags == SLOT_FREE
        assert here.keeper.kills == []


async def test_a_long_result_frees_the_slot_before_it_is_fetched() -> None:
    """The slot never waits for a network."""
    body = os.urandom(WINDOW * 4)
    async with stage() as here:
        number = await long_result(here, body)
        first = await here.router.inbox.next(Kind.RESULT)
        here.router.call()
        executor = await here.keeper.working()
        own, _ = await executor.run()
        await executor.result(own, b"second")
        received, others = first.body, []
        while (frame := await here.router.inbox.next()).kind != Kind.END:
            if frame.kind == Kind.DATA:
                received += frame.payload
                here.router.send(Kind.CREDIT, number, U32.pack(len(frame.payload)))
            else:
                others.append(frame.body)

        assert first.flags & SLOT_FREE
        assert received == body
        assert others == [b"second"]


async def test_the_window_is_kept() -> None:
    """Without credit no more than a window of DATA is sent."""
    async with stage() as here:
        await long_result(here, os.urandom(WINDOW * 4))
        await here.router.inbox.next(Kind.RESULT)
        for _ in range(2):
            await here.router.status()
        sent = sum(len(f.payload) for f in here.router.inbox.seen if f.kind == Kind.DATA)

        assert WINDOW - MAX_PAYLOAD < sent <= WINDOW


async def test_a_result_over_the_limit_is_refused() -> None:
    async with stage({"results": {"maxBytes": "100Ki"}}) as here:
        await long_result(here, os.urandom(200_000))
        answer = await here.router.inbox.next(Kind.ERROR)

        assert answer.json["code"] == "result_too_large"
        assert answer.json["outcome"] == "finished"


async def test_a_stream_is_passed_on_as_it_comes() -> None:
    async with stage() as here:
        here.router.call(flags=STREAM)
        executor = await here.keeper.working()
        own, run = await executor.run()
        await executor.send(Kind.BEGIN, own)
        await executor.send(Kind.PROGRESS, own, b'{"fraction":0.5}')
        await executor.send(Kind.CHUNK, own, b"\0[1]")
        await executor.result(own, b"null")
        frames = [await here.router.inbox.next() for _ in range(4)]

        assert run.flags & STREAM
        assert [f.kind for f in frames] == [Kind.BEGIN, Kind.PROGRESS, Kind.CHUNK, Kind.RESULT]


async def test_a_stream_that_nobody_reads_holds_its_command_back() -> None:
    """Above a MiB unsent its executor is not read; credit lets it go on to the end."""
    count = 60
    async with stage() as here:
        number = here.router.call(flags=STREAM)
        executor = await here.keeper.working()
        own, _ = await executor.run()
        await executor.send(Kind.BEGIN, own)
        assert (await here.router.inbox.next()).kind == Kind.BEGIN
        chunks = asyncio.create_task(_chunks(executor, own, count))
        received = 0
        while (frame := await here.router.inbox.next()).kind == Kind.CHUNK:
            received += len(frame.payload)
            here.router.send(Kind.CREDIT, number, U32.pack(len(frame.payload)))
        await chunks

        assert frame.kind == Kind.RESULT
        assert received == count * 60_001


async def _chunks(executor: FakeExecutor, own: int, count: int) -> None:
    for _ in range(count):
        await executor.send(Kind.CHUNK, own, b"\0" + b"x" * 60_000)
    await executor.result(own, b"null")
