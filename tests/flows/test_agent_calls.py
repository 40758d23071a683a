"""A call through a real agent: taken, run, answered; or refused, timed out, crashed, cancelled."""

import asyncio
import json
import time

from agent_stage import stage

from pythonpool.messages import END_HEAD, SLOT_FREE, STARTED, CancelReason, Kind, Refusal


async def test_a_call_runs_and_its_result_frees_the_slot() -> None:
    """The main path: HELLO, CALL, RUN, RESULT."""
    async with stage() as here:
        assert here.router.hello["secret"] == "s3cret"
        assert here.router.hello["slots"] == 1
        assert here.router.hello["catalogue"] == [{"name": "echo"}]
        number = here.router.call("echo", b'{"a":1}', timeout=5)
        executor = await here.keeper.working()
        own, run = await executor.run()
        await executor.result(own, b'{"b":2}')
        answer = await here.router.inbox.next(Kind.RESULT)

        assert (run.command, run.body, run.session_id) == (b"echo", b'{"a":1}', b"")
        assert run.call_id == f"{'0' * 16}-1".encode()
        assert 4.5 < run.timeout_seconds <= 5
        assert (answer.number, answer.body) == (number, b'{"b":2}')
        assert answer.flags & SLOT_FREE


async def test_a_full_worker_refuses() -> None:
    """The worker is the judge."""
    async with stage() as here:
        here.router.call()
        second = here.router.call()
        refusal = await here.router.inbox.next(Kind.REFUSE)

        assert (refusal.number, refusal.payload) == (second, bytes((Refusal.SLOTS,)))


async def test_a_deadline_kills_and_says_where_it_was() -> None:
    """The answer comes at most 250 ms after the deadline, and the slot takes the next call."""
    async with stage() as here:
        begun = time.monotonic()
        here.router.call("slow", timeout=0.1)
        executor = await here.keeper.working()
        await executor.run()
        answer = await here.router.inbox.next(Kind.ERROR)
        late = time.monotonic() - begun - 0.1
        after = await here.serve_one()

        assert answer.json["code"] == "timeout"
        assert answer.json["detail"] == (
            'Python operation timed out after 0.1 s; the command "slow" was killed'
        )
        assert answer.json["stack"] == here.keeper.stack
        assert answer.json["outcome"] == "unknown"
        assert answer.flags & SLOT_FREE
        assert late < 0.25
        assert here.keeper.kills == [{"t": "kill", "id": executor.id, "dump": True}]
        assert executor.is_closed
        assert after.kind == Kind.RESULT


async def test_a_keeper_that_is_silent_does_not_delay_the_answer() -> None:
    """The caller is answered in time; the slot comes back only when SIGKILL was sent."""
    async with stage() as here:
        here.keeper.answers_kill = False
        here.router.call("slow", timeout=0.05)
        executor = await here.keeper.working()
        await executor.run()
        answer = await here.router.inbox.next(Kind.ERROR)
        refused = here.router.call()
        refusal = await here.router.inbox.next(Kind.REFUSE)
        here.keeper.killed(executor.id)
        offer = await here.router.inbox.next(Kind.OFFER)

        assert "stack" not in answer.json
        assert not answer.flags & SLOT_FREE
        assert refusal.number == refused
        assert offer.payload == b"\0"


async def test_a_process_that_can_not_be_killed_costs_its_slot() -> None:
    """Its caller is told so, and the worker is to be replaced."""
    async with stage() as here:
        here.keeper.unkillable = True
        here.router.call("stuck", timeout=0.05)
        answer = await here.router.inbox.next(Kind.ERROR)
        here.router.call()
        await here.router.inbox.next(Kind.REFUSE)
        lines = [await here.notice() for _ in range(3)]

        assert answer.json["cause"] == "unkillable"
        assert lines[2] == {"recycle": "stuck"}


async def test_a_crash_is_told_with_its_cause() -> None:
    async with stage() as here:
        here.router.call()
        executor = await here.keeper.working()
        await executor.run()
        here.keeper.die(executor, "signal:11")
        answer = await here.router.inbox.next(Kind.ERROR)
        after = await here.serve_one()

        assert (answer.json["code"], answer.json["cause"]) == ("worker_crashed", "signal:11")
        assert after.kind == Kind.RESULT
        assert (await here.router.status())["exits"] == {"signal:11": 1}


async def test_a_result_written_before_the_death_counts() -> None:
    async with stage() as here:
        here.router.call()
        executor = await here.keeper.working()
        number, _ = await executor.run()
        await executor.result(number, b"1")
        here.keeper.die(executor, "exit:0")
        answer = await here.router.inbox.next(Kind.RESULT)

        assert answer.body == b"1"


async def test_memory_is_told_with_figures() -> None:
    async with stage() as here:
        here.router.call()
        executor = await here.keeper.working()
        await executor.run()
        here.keeper.die(executor, "memory", limit_bytes=1000, peak_bytes=990)
        answer = await here.router.inbox.next(Kind.ERROR)

        assert answer.json["code"] == "out_of_memory"
        assert (answer.json["limit_bytes"], answer.json["peak_bytes"]) == (1000, 990)


async def test_a_caller_that_has_gone_ends_the_work() -> None:
    """First softly, then by SIGKILL."""
    async with stage() as here:
        number = here.router.call()
        executor = await here.keeper.working()
        own, _ = await executor.run()
        here.router.send(Kind.CANCEL, number, bytes((CancelReason.CALLER_GONE,)))
        soft = await executor.inbox.next(Kind.CANCEL)
        answer = await here.router.inbox.next(Kind.CANCELLED)

        assert soft.number == own
        assert END_HEAD.unpack(answer.payload)[0] == SLOT_FREE | STARTED
        assert len(here.keeper.kills) == 1


async def test_a_command_that_obeys_the_soft_cancel_is_not_killed() -> None:
    async with stage() as here:
        number = here.router.call()
        executor = await here.keeper.working()
        own, _ = await executor.run()
        here.router.send(Kind.CANCEL, number, bytes((CancelReason.DELETED,)))
        await executor.inbox.next(Kind.CANCEL)
        await executor.result(own)
        await here.router.inbox.next(Kind.CANCELLED)
        after = await here.serve_one()

        assert after.kind == Kind.RESULT
        assert here.keeper.kills == []


async def test_with_finish_a_call_outlives_its_caller() -> None:
    async with stage({"onDisconnect": "Finish"}) as here:
        number = here.router.call()
        executor = await here.keeper.working()
        own, _ = await executor.run()
        here.router.send(Kind.CANCEL, number, bytes((CancelReason.CALLER_GONE,)))
        await here.router.status()
        await executor.result(own)
        answer = await here.router.inbox.next()

        assert answer.kind == Kind.CANCELLED
        assert here.keeper.kills == []


async def test_callers_of_a_broken_link_are_gone() -> None:
    async with stage() as here:
        here.router.call()
        executor = await here.keeper.working()
        await executor.run()
        await here.router.hang_up()
        await here.keeper.until(lambda: len(here.keeper.kills) == 1)


async def test_latency_of_one_call(capsys: object) -> None:
    """No assertion on time: the figure is for the reader."""
    async with stage() as here:
        await here.serve_one()
        executor = next(iter(e for e in here.keeper.executors.values() if e.inbox.seen))
        spans = []
        for _ in range(300):
            begun = time.perf_counter()
            here.router.call()
            number, _ = await executor.run()
            await executor.result(number)
            await here.router.inbox.next()
            spans.append(time.perf_counter() - begun)
        spans.sort()
        await asyncio.sleep(0)
        print(json.dumps({"p50_us": spans[150] * 1e6, "p99_us": spans[297] * 1e6}))
