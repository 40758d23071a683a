"""The life of an agent: starting, ready, failed, draining; keepers that die; probes; recycling."""

import asyncio
import json
import signal

from agent_stage import PATIENCE, FakeKeeper, stage

from pythonpool.messages import OPEN, SESSION, SLOT_FREE, Kind, Refusal


async def test_it_is_ready_when_its_executors_are() -> None:
    async with stage(ready=False) as here:
        starting = await here.notice()
        before = await here.probe("/readyz"), await here.probe("/startupz")
        await here.keeper.start()
        ready = await here.notice()
        await here.router.connected.wait()
        after = [await here.probe(path) for path in ("/livez", "/readyz", "/startupz", "/x")]

        assert starting["state"] == "starting"
        assert before == ((503, "starting"), (503, "starting"))
        assert ready == {"state": "ready", "incarnation": here.router.hello["incarnation"]}
        assert [status for status, _ in after] == [200, 200, 200, 404]
        await here.keeper.until(lambda: len(here.keeper.executors) == 2)


async def test_a_template_that_fails_is_told_with_its_reason() -> None:
    async with stage(ready=False) as here:
        await here.notice()
        keeper = here.keeper
        await keeper.connect()
        keeper.say({"t": "template", "state": "failed", "reason": "no module x", "log": "Trace"})
        failed = await here.notice()
        keeper.say({"t": "template", "state": "ready", "catalogue": [{"name": "a"}]})
        ready = await here.notice()

        assert (failed["state"], failed["reason"]) == ("failed", "no module x")
        assert failed["log"] == "Trace"
        assert ready["state"] == "ready"


async def test_warm_up_runs_before_ready() -> None:
    spec = {"warmup": [{"command": "ping", "args": {"a": 1}}]}
    async with stage(spec, ready=False) as here:
        await here.notice()
        await here.keeper.start()
        for is_standby in (False, True):  # the standby's is not waited for
            executor = await here.keeper.working()
            number, run = await executor.run()
            assert (run.command, run.body) == (b"ping", b'{"a": 1}')
            assert is_standby or not here.router.connected.is_set()
            await executor.result(number)

        assert (await here.notice())["state"] == "ready"


async def test_a_warm_up_that_fails_is_a_failed_worker() -> None:
    async with stage({"warmup": [{"command": "ping"}]}, ready=False) as here:
        await here.notice()
        await here.keeper.start()
        executor = await here.keeper.working()
        number, _ = await executor.run()
        await executor.error(number, {"code": "command_failed", "detail": "boom"})
        failed = await here.notice()

        assert failed["state"] == "failed"
        assert failed["reason"] == 'warm-up command "ping" failed: boom'


async def test_draining_finishes_what_runs_and_exits() -> None:
    async with stage() as here:
        here.router.call()
        executor = await here.keeper.working()
        number, _ = await executor.run()
        here.agent.send_signal(signal.SIGTERM)
        await here.router.inbox.next(Kind.DRAINING)
        here.router.call()
        refusal = await here.router.inbox.next(Kind.REFUSE)
        await executor.result(number, b"1")
        answer = await here.router.inbox.next(Kind.RESULT)
        await asyncio.wait_for(here.keeper.got_stop.wait(), PATIENCE)

        assert refusal.payload == bytes((Refusal.DRAINING,))
        assert answer.body == b"1"
        assert await here.agent.wait() == 0


async def test_a_draining_worker_serves_its_sessions() -> None:
    async with stage({"concurrency": 2}) as here:
        secret, executor = await here.open_session()
        here.agent.send_signal(signal.SIGTERM)
        await here.router.inbox.next(Kind.DRAINING)
        here.router.call("", flags=OPEN)
        refusal = await here.router.inbox.next(Kind.REFUSE)
        here.router.call(session=secret, flags=SESSION)
        number, _ = await executor.run()
        await executor.result(number)
        answer = await here.router.inbox.next(Kind.RESULT)
        shown = await here.router.ask(op="session.get", session=secret, owner="alice")
        await here.router.ask(op="session.delete", session=secret, owner="alice")

        assert refusal.payload == bytes((Refusal.DRAINING,))
        assert answer.flags & SLOT_FREE
        assert json.loads(shown.payload)["draining"] is True
        assert await asyncio.wait_for(here.agent.wait(), PATIENCE) == 0


async def test_sessions_are_drained_when_their_time_is_over() -> None:
    async with stage({"sessions": {"drainSeconds": 0}}) as here:
        secret, executor = await here.open_session()
        here.router.call(session=secret, flags=SESSION)
        number, _ = await executor.run()
        here.agent.send_signal(signal.SIGTERM)
        await here.router.inbox.next(Kind.DRAINING)
        await executor.result(number)
        answer = await here.router.inbox.next(Kind.RESULT)
        await executor.inbox.next(Kind.SESSION_CLOSE)
        here.router.call(session=secret, flags=SESSION)
        late = await here.router.inbox.next(Kind.ERROR)

        assert answer.kind == Kind.RESULT
        assert (late.json["code"], late.json["cause"]) == ("session_lost", "drained")


async def test_a_second_sigterm_ends_it_at_once() -> None:
    async with stage() as here:
        here.router.call()
        await (await here.keeper.working()).run()
        here.agent.send_signal(signal.SIGTERM)
        await here.router.inbox.next(Kind.DRAINING)
        here.agent.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(here.agent.wait(), PATIENCE) == 0


async def test_a_keeper_that_dies_takes_its_calls_and_is_replaced() -> None:
    """Links stay; sessions with a state go on."""
    async with stage() as here:
        secret, _ = await here.open_session()
        here.router.call()
        executor = await here.keeper.working()
        await executor.run()
        here.keeper.hang_up()
        crashed = await here.router.inbox.next(Kind.ERROR)
        starting = await here.router.status()
        second = FakeKeeper(here.folder / "keeper.sock")
        await second.start()
        states = [(await here.notice())["state"] for _ in range(4)]
        here.router.call(session=secret, flags=SESSION)
        fresh = await second.working()
        opened = await fresh.inbox.next(Kind.SESSION_OPEN)
        second.hang_up()

        assert (crashed.json["code"], crashed.json["cause"]) == ("worker_crashed", "unknown")
        assert starting["state"] == "starting"
        assert states == ["starting", "ready", "starting", "ready"]
        assert opened.kind == Kind.SESSION_OPEN


async def test_calls_during_a_keepers_absence_wait_for_the_next() -> None:
    async with stage() as here:
        here.keeper.hang_up()
        while (await here.router.status())["state"] != "starting":
            continue
        here.router.call()
        await here.router.inbox.next(Kind.REFUSE)
        second = FakeKeeper(here.folder / "keeper.sock")
        await second.start()
        offer = await here.router.inbox.next(Kind.OFFER)
        second.hang_up()

        assert offer.payload == b"\0"


async def test_it_asks_to_be_replaced_after_so_many_calls() -> None:
    async with stage({"recycle": {"maxCalls": 2}}) as here:
        for _ in range(3):
            await here.serve_one()
        lines = [await here.notice() for _ in range(3)]

        assert lines[2] == {"recycle": "calls"}


async def test_it_asks_to_be_replaced_when_memory_is_short() -> None:
    async with stage() as here:
        here.keeper.say({"t": "memory", "bytes": 950, "limit_bytes": 1000, "executors": {}})
        lines = [await here.notice() for _ in range(3)]
        here.router.call("", flags=OPEN)
        refusal = await here.router.inbox.next(Kind.REFUSE)

        assert lines[2] == {"recycle": "memory"}
        assert refusal.payload == bytes((Refusal.MEMORY,))
        assert (await here.router.status())["memory_bytes"] == 950


async def test_a_router_can_ask_for_a_recycle() -> None:
    async with stage() as here:
        answer = await here.router.ask(op="recycle")
        lines = [await here.notice() for _ in range(3)]

        assert answer.kind == Kind.ANSWER
        assert lines[2] == {"recycle": "asked"}


async def test_a_newer_spec_takes_effect() -> None:
    async with stage() as here:
        spec = {"results": {"maxBytes": 1024}, "sessions": {"maxPerWorker": 0}, "concurrency": 9}
        older = {"generation": 1, "spec": {}}
        here.router.send(Kind.CONFIG, 0, json.dumps({"generation": 2, "spec": spec}).encode())
        here.router.send(Kind.CONFIG, 0, json.dumps(older).encode())
        status = await here.router.status()
        here.router.call("", flags=OPEN)
        refusal = await here.router.inbox.next(Kind.REFUSE)

        assert (status["generation"], status["slots"], status["session_room"]) == (2, 1, 0)
        assert refusal.payload == bytes((Refusal.SESSIONS_FULL,))


async def test_a_freed_slot_goes_to_the_router_that_waits() -> None:
    """Two routers, one slot: an offer instead of SLOT_FREE."""
    async with stage(routers=2) as here:
        one, two = here.routers
        one.call()
        executor = await here.keeper.working()
        number, _ = await executor.run()
        two.call(waited=1.0)
        await two.inbox.next(Kind.REFUSE)
        await executor.result(number)
        answer = await one.inbox.next(Kind.RESULT)
        offer = await two.inbox.next(Kind.OFFER)
        two.send(Kind.DECLINE, 0, b"\0")
        free = await one.inbox.next(Kind.FREE)

        assert not answer.flags & SLOT_FREE
        assert offer.payload == b"\0"
        assert free.payload == b"\0\1"


async def test_busy_news_reach_the_other_router() -> None:
    async with stage(routers=2) as here:
        one, two = here.routers
        before = len(two.inbox.seen)
        one.call()
        await here.keeper.working()
        async with asyncio.timeout(PATIENCE):
            while not any(f.json["busy"] == 1 for f in two.inbox.seen[before:]):
                await asyncio.sleep(0.005)

        assert (await two.status())["yours"] == 0
        assert (await one.status())["yours"] == 1


async def test_a_bad_frame_harms_only_itself() -> None:
    async with stage() as here:
        here.router.send(Kind.CONFIG, 0, b"not json")
        here.router.send(Kind.ASK, 5, b"not json")
        refused = await here.router.inbox.next(Kind.ERROR)
        answer = await here.serve_one()

        assert refused.json["code"] == "invalid_argument"
        assert answer.kind == Kind.RESULT


async def test_a_router_that_comes_back_is_dialled_again() -> None:
    async with stage() as here:
        await here.router.hang_up()
        await asyncio.wait_for(here.router.connected.wait(), PATIENCE)
        answer = await here.serve_one()

        assert answer.kind == Kind.RESULT
