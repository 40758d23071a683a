"""Sessions through a real agent: opened, used, expired, brought back, lost, deleted."""

import base64
import json

from agent_stage import FakeExecutor, Frame, Stage, stage

from pythonpool.messages import (
    MORE,
    OPEN,
    SESSION,
    SLOT_FREE,
    SNAPSHOT_HEAD,
    TOO_LARGE,
    Kind,
    Refusal,
)


async def use(here: Stage, secret: str, executor: FakeExecutor, state: bytes = b"") -> Frame:
    """One call of a session, which leaves `state`; its terminal frame."""
    here.router.call(session=secret, flags=SESSION)
    number, _ = await executor.run()
    await leave(executor, number, state)
    await executor.result(number)
    return await here.router.inbox.next()


async def leave(executor: FakeExecutor, number: int, state: bytes, flags: int = 0) -> None:
    head = SNAPSHOT_HEAD.pack(flags, len(state))
    await executor.send(Kind.SNAPSHOT, number, head + state)


async def test_a_session_is_opened_and_described() -> None:
    async with stage() as here:
        here.router.call("", b'{"ttl_seconds":60,"context":{"a":1}}', flags=OPEN)
        executor = await here.keeper.working()
        asked = await executor.inbox.next(Kind.SESSION_OPEN)
        await executor.result(asked.number, b"")
        answer = await here.router.inbox.next(Kind.RESULT)
        again = await here.router.ask(
            op="session.get", session=answer.json["session_id"], owner="alice"
        )

        said = answer.json
        assert set(said) == {
            "session_id", "pool", "worker", "created_at", "expires_at", "ttl_seconds", "context",
            "draining",
        }  # fmt: skip
        assert said["session_id"].startswith("general.general-abcde.")
        assert (said["ttl_seconds"], said["context"], said["draining"]) == (60, {"a": 1}, False)
        assert answer.flags & SLOT_FREE
        opened = json.loads(asked.payload[1:])
        assert opened == {
            "session_id": said["session_id"], "context": {"a": 1}, "snapshot": None
        }  # fmt: skip
        assert json.loads(again.payload)["session_id"] == said["session_id"]


async def test_its_calls_run_on_its_own_executor() -> None:
    async with stage() as here:
        secret, executor = await here.open_session()
        answer = await use(here, secret, executor)
        here.router.call()
        other = await here.keeper.working()

        assert answer.kind == Kind.RESULT
        assert other is not executor


async def test_open_that_raises_makes_no_session() -> None:
    async with stage() as here:
        here.router.call("", b"{}", flags=OPEN)
        executor = await here.keeper.working()
        asked = await executor.inbox.next(Kind.SESSION_OPEN)
        await executor.error(asked.number, {"code": "command_failed", "detail": "no"})
        answer = await here.router.inbox.next(Kind.ERROR)

        assert answer.json["code"] == "command_failed"
        assert (await here.router.status())["sessions"] == 0
        await here.keeper.until(lambda: executor.id in [k["id"] for k in here.keeper.kills])


async def test_what_is_asked_of_a_session_is_checked() -> None:
    async with stage({"sessions": {"maxTtlSeconds": 100, "ttlSeconds": 10}}) as here:
        for body in (b'{"ttl_seconds":101}', b'{"ttl_seconds":0}', b'{"ttl_seconds":true}', b"["):
            here.router.call("", body, flags=OPEN)
            answer = await here.router.inbox.next(Kind.ERROR)
            assert answer.json["code"] == "invalid_argument", body
            assert answer.json["outcome"] == "not_started"


async def test_there_are_at_most_so_many() -> None:
    async with stage({"sessions": {"maxPerWorker": 1}}) as here:
        await here.open_session()
        here.router.call("", b"{}", flags=OPEN)
        refusal = await here.router.inbox.next(Kind.REFUSE)

        assert refusal.payload == bytes((Refusal.SESSIONS_FULL,))


async def test_somebody_elses_session_is_not_found() -> None:
    async with stage() as here:
        secret, _ = await here.open_session()
        here.router.call(session=secret, flags=SESSION, owner="mallory")
        answer = await here.router.inbox.next(Kind.ERROR)
        listed = await here.router.ask(op="session.list", owner="mallory")
        shown = await here.router.ask(op="session.get", session=secret, owner="mallory")

        assert answer.json["code"] == shown.json["code"] == "session_not_found"
        assert json.loads(listed.payload) == {"items": [], "incomplete": False}


async def test_a_second_call_waits_for_its_turn() -> None:
    async with stage({"concurrency": 2}) as here:
        secret, executor = await here.open_session()
        here.router.call(session=secret, flags=SESSION)
        number, _ = await executor.run()
        here.router.call(session=secret, flags=SESSION)
        refusal = await here.router.inbox.next(Kind.REFUSE)
        await executor.result(number)
        frames = [await here.router.inbox.next() for _ in range(2)]

        assert refusal.payload == bytes((Refusal.SESSION_BUSY,))
        assert {frame.kind for frame in frames} == {Kind.RESULT, Kind.OFFER}
        (offer,) = [frame for frame in frames if frame.kind == Kind.OFFER]
        assert offer.payload == b"\1" + secret.encode()


async def test_a_killed_call_leaves_no_trace() -> None:
    """The next call finds what was after the last finished one, in a fresh executor."""
    async with stage() as here:
        secret, executor = await here.open_session()
        await use(here, secret, executor, b"good")
        here.router.call(session=secret, flags=SESSION, timeout=0.05)
        number, _ = await executor.run()
        await leave(executor, number, b"half done")
        assert (await here.router.inbox.next(Kind.ERROR)).json["code"] == "timeout"
        here.router.call(session=secret, flags=SESSION)
        fresh = await here.keeper.working()
        asked = await fresh.inbox.next(Kind.SESSION_OPEN)
        await fresh.result(asked.number, b"")
        number, _ = await fresh.run()
        await fresh.result(number, b"1")
        answer = await here.router.inbox.next(Kind.RESULT)

        assert fresh is not executor
        snapshot = json.loads(asked.payload[1:])["snapshot"]
        assert base64.b64decode(snapshot) == b"good"
        assert answer.body == b"1"


async def test_without_persistence_a_kill_loses_the_session() -> None:
    async with stage({"sessions": {"persistence": "None"}}) as here:
        secret, executor = await here.open_session()
        here.router.call(session=secret, flags=SESSION, timeout=0.05)
        await executor.run()
        await here.router.inbox.next(Kind.ERROR)
        here.router.call(session=secret, flags=SESSION)
        answer = await here.router.inbox.next(Kind.ERROR)

        assert (answer.json["code"], answer.json["cause"]) == ("session_lost", "killed")
        assert answer.json["outcome"] == "not_started"


async def test_a_crash_between_calls_loses_it_too() -> None:
    async with stage({"sessions": {"persistence": "None"}}) as here:
        secret, executor = await here.open_session()
        here.keeper.die(executor, "exit:1")
        await here.router.status()
        here.router.call(session=secret, flags=SESSION)
        answer = await here.router.inbox.next(Kind.ERROR)

        assert (answer.json["code"], answer.json["cause"]) == ("session_lost", "crashed")


async def test_a_state_that_is_too_large_is_never_an_older_one() -> None:
    async with stage() as here:
        secret, executor = await here.open_session()
        await use(here, secret, executor, b"good")
        here.router.call(session=secret, flags=SESSION)
        number, _ = await executor.run()
        await leave(executor, number, b"", TOO_LARGE)
        await executor.result(number)
        await here.router.inbox.next(Kind.RESULT)
        here.keeper.die(executor, "signal:9")
        await here.router.status()
        here.router.call(session=secret, flags=SESSION)
        answer = await here.router.inbox.next(Kind.ERROR)

        assert answer.json["cause"] == "state_too_large"


async def test_a_long_state_is_put_together() -> None:
    async with stage() as here:
        secret, executor = await here.open_session()
        here.router.call(session=secret, flags=SESSION)
        number, _ = await executor.run()
        await executor.send(
            Kind.SNAPSHOT, number, SNAPSHOT_HEAD.pack(MORE, 100_000) + b"a" * 60_000
        )
        await executor.send(Kind.DATA, number, b"b" * 40_000)
        await executor.send(Kind.END, number)
        await executor.result(number)
        await here.router.inbox.next(Kind.RESULT)
        here.keeper.die(executor, "signal:9")
        await here.router.status()
        here.router.call(session=secret, flags=SESSION)
        fresh = await here.keeper.working()
        parts = [await fresh.inbox.next(Kind.SESSION_OPEN), await fresh.inbox.next(Kind.DATA)]
        parts.append(await fresh.inbox.next(Kind.DATA))
        await fresh.inbox.next(Kind.END)

        text = parts[0].payload[1:] + parts[1].payload + parts[2].payload
        state = base64.b64decode(json.loads(text)["snapshot"])
        assert state == b"a" * 60_000 + b"b" * 40_000


async def test_it_expires() -> None:
    async with stage({"sessions": {"ttlSeconds": 1}}) as here:
        secret, executor = await here.open_session()
        await executor.inbox.next(Kind.SESSION_CLOSE)
        here.router.call(session=secret, flags=SESSION)
        answer = await here.router.inbox.next(Kind.ERROR)

        assert answer.json["code"] == "session_expired"
        assert (await here.router.status())["session_ends"] == {"expired": 1}


async def test_delete_ends_its_running_call_and_those_that_wait() -> None:
    async with stage({"concurrency": 2}) as here:
        secret, executor = await here.open_session()
        running = here.router.call(session=secret, flags=SESSION)
        await executor.run()
        here.router.call(session=secret, flags=SESSION)
        await here.router.inbox.next(Kind.REFUSE)
        here.router.send(
            Kind.ASK,
            1000,
            json.dumps({"op": "session.delete", "session": secret, "owner": "alice"}).encode(),
        )
        offer = await here.router.inbox.next(Kind.OFFER)
        deleted = await here.router.inbox.next(Kind.ANSWER)
        cancelled = await here.router.inbox.next(Kind.CANCELLED)
        here.router.call(session=secret, flags=SESSION)
        late = await here.router.inbox.next(Kind.ERROR)

        assert offer.payload == b"\1" + secret.encode()
        assert deleted.number == 1000
        assert cancelled.number == running
        assert late.json["code"] == "session_not_found"
        assert executor.id in [kill["id"] for kill in here.keeper.kills]


async def test_an_ended_session_is_closed_and_its_processes_end() -> None:
    async with stage() as here:
        secret, executor = await here.open_session()
        await here.router.ask(op="session.delete", session=secret, owner="alice")
        closing = await executor.inbox.next(Kind.SESSION_CLOSE)
        await executor.result(closing.number, b"")
        await here.keeper.until(lambda: executor.id in [k["id"] for k in here.keeper.kills])

        assert (await here.router.status())["exits"] == {}


async def test_with_threads_a_session_shares_the_executor() -> None:
    """And its death is theirs; the session goes on in the next one."""
    async with stage({"isolation": "thread", "concurrency": 2}) as here:
        secret, executor = await here.open_session()
        await use(here, secret, executor, b"good")
        here.router.call(session=secret, flags=SESSION)
        here.router.call("other", timeout=0.1)
        await executor.run()
        await executor.run()
        frames = [await here.router.inbox.next(Kind.ERROR) for _ in range(2)]
        here.router.call(session=secret, flags=SESSION)
        fresh = await here.keeper.working()
        asked = await fresh.inbox.next(Kind.SESSION_OPEN)

        causes = {frame.json["code"]: frame.json.get("cause") for frame in frames}
        assert causes == {"timeout": None, "worker_crashed": "neighbour_killed"}
        assert base64.b64decode(json.loads(asked.payload[1:])["snapshot"]) == b"good"


async def test_an_opening_leaves_each_slot_its_executor() -> None:
    """When no more can be started, the next session is refused, and calls go on."""
    async with stage() as here:
        await here.keeper.until(lambda: len(here.keeper.executors) == 2)
        here.keeper.answers_start = False
        await here.open_session()
        here.router.call("", b"{}", flags=OPEN)
        here.keeper.say({"t": "failed", "id": 3, "reason": "no descriptors", "log": ""})
        refused = await here.router.inbox.next(Kind.ERROR)
        served = await here.serve_one()

    assert (refused.json["code"], refused.json["cause"]) == ("resource_exhausted", "sessions_full")
    assert served.kind == Kind.RESULT


async def test_an_opening_waits_for_one_more_executor() -> None:
    """It gets the one that comes, and the call after it the one that was there."""
    async with stage() as here:
        await here.keeper.until(lambda: len(here.keeper.executors) == 2)
        secrets = {(await here.open_session())[0] for _ in range(4)}
        served = await here.serve_one()

    assert len(secrets) == 4
    assert served.kind == Kind.RESULT
