"""Who gets which slot, and what is said when there is none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import LinkWorker, RouterHouse, command, echo, router_house, spec

from pythonpool import messages
from pythonpool.messages import SLOT_FREE, CancelReason, Kind, Refusal

TARGET = "/v1/pools/general/execute/echo"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    async with router_house(tmp_path) as built:
        built.pool("general")
        await built.start()
        yield built


async def test_the_least_busy_worker_is_next(house: RouterHouse) -> None:
    """Two workers with two slots: four calls, two each, alternating."""
    one = await house.worker("general", slots=2)
    two = await house.worker("general", slots=2)
    calls = [asyncio.create_task(house.execute("general", "echo")) for _ in range(4)]
    for worker in (one, two, one, two):
        worker.result((await worker.call()).number, b"1", flags=0)
    assert {(await call).status for call in calls} == {200}


async def test_first_in_first_out(house: RouterHouse) -> None:
    """Calls that wait are served by age, and carry it."""
    worker = await house.worker("general")
    callers = []
    for mark in (b"0", b"1", b"2"):
        caller = await house.caller()
        caller.request("POST", TARGET, mark)
        callers.append(caller)
        await house.until(lambda pool: pool["queued"] + pool["busy"] == len(callers), "general")
    for mark in (b"0", b"1", b"2"):
        sent = await worker.call()
        assert sent.call.body == mark
        worker.result(sent.number, mark)
        assert (await callers.pop(0).reply()).body == mark


async def test_a_refused_call_keeps_its_place(house: RouterHouse) -> None:
    """REFUSE, then OFFER: the oldest goes first, under a new number."""
    worker = await house.worker("general")
    first, second = await house.caller(), await house.caller()
    first.request("POST", TARGET, b"1")
    refused = await worker.call()
    second.request("POST", TARGET, b"2")
    await house.until(lambda pool: pool["queued"] == 1, "general")
    worker.refuse(refused.number, Refusal.SLOTS)
    await house.until(lambda pool: pool["queued"] == 2, "general")

    worker.send(Kind.OFFER, 0, b"\0")

    again = await worker.call()
    assert (again.call.body, again.number > refused.number) == (b"1", True)
    assert again.call.line_ms != messages.UNKNOWN
    worker.result(again.number, b"1")
    assert (await worker.call()).call.line_ms == messages.UNKNOWN


async def test_an_offer_nobody_needs_is_declined(house: RouterHouse) -> None:
    """So that the next router gets the slot at once."""
    worker = await house.worker("general")
    worker.send(Kind.OFFER, 0, b"\0")
    assert (await worker.frame(Kind.DECLINE))[1] == b"\0"
    secret = b"0" * 32
    worker.send(Kind.OFFER, 0, b"\1" + secret)
    assert (await worker.frame(Kind.DECLINE))[1] == b"\1" + secret


async def test_a_router_without_calls_there_gets_onto_the_list(house: RouterHouse) -> None:
    """All slots are another router's: one call is sent to be refused, once."""
    worker = await house.worker("general")
    worker.status(busy=1, yours=0)
    await house.until(lambda pool: pool["available"] == 0, "general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"1")
    worker.refuse((await worker.call()).number, Refusal.SLOTS)
    await house.until(lambda pool: pool["queued"] == 1, "general")
    assert worker.calls.empty()
    worker.send(Kind.FREE, 0, messages.U16.pack(1))
    worker.result((await worker.call()).number, b"2")
    assert (await caller.reply()).status == 200


async def test_a_queue_timeout_ends_the_wait(house: RouterHouse) -> None:
    """429 with the cause; zero means: do not wait."""
    worker = await house.worker("general")
    busy = asyncio.create_task(house.execute("general", "echo"))
    sent = await worker.call()
    for query in ("?queue_timeout=0", "?queue_timeout=0.1"):
        reply = await house.execute("general", "echo", query=query)
        assert (reply.status, reply.json()["cause"]) == (429, "queue_timeout")
    worker.result(sent.number, b"1")
    assert (await busy).status == 200


async def test_a_caller_that_goes_leaves_the_line(house: RouterHouse) -> None:
    """At once, so that its place is free."""
    worker = await house.worker("general")
    busy = asyncio.create_task(house.execute("general", "echo"))
    sent = await worker.call()
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    await house.until(lambda pool: pool["queued"] == 1, "general")
    await caller.close()
    await house.until(lambda pool: pool["queued"] == 0, "general")
    worker.result(sent.number, b"1")
    assert (await busy).status == 200
    assert worker.calls.empty()


async def test_a_broken_link_is_a_crash_of_unknown_outcome(house: RouterHouse) -> None:
    """What was sent may have run; it is never sent again by itself."""
    worker = await house.worker("general")
    call = asyncio.create_task(house.execute("general", "echo"))
    await worker.call()
    worker.transport.abort()
    reply = await call
    problem = reply.json()
    assert (reply.status, problem["code"]) == (502, "worker_crashed")
    assert (problem["cause"], problem["outcome"]) == ("link_lost", "unknown")
    assert problem["worker"] == worker.name == reply.headers["pythonpool-worker"]
    assert "server-timing" in reply.headers


async def test_an_idempotent_command_runs_again_once(house: RouterHouse) -> None:
    """After a crash; the second crash is the answer."""
    rows = [command("echo", idempotent=True)]
    worker = await house.worker("general", commands=rows)
    call = asyncio.create_task(house.execute("general", "echo", b'{"a":1}'))
    first = await worker.call()
    worker.error(first.number, code="worker_crashed", outcome="unknown", cause="signal:9")
    second = await worker.call()
    assert second.call.body == b'{"a":1}'
    worker.error(second.number, code="worker_crashed", outcome="unknown", cause="signal:9")
    assert (await call).status == 502


async def test_a_timeout_suggests_the_next_longer_pool(house: RouterHouse) -> None:
    """Only one that is ready, and those that offer the command first."""
    house.pool("neural", spec=spec(timeoutSeconds=600))
    house.pool("optimizer", spec=spec(timeoutSeconds=300))
    house.read_again()
    worker = await house.worker("general")
    await house.worker("neural")
    await house.worker("optimizer", commands=[command("other")])

    async def suggested() -> object:
        call = asyncio.create_task(house.execute("general", "echo"))
        worker.error((await worker.call()).number, code="timeout", outcome="unknown")
        reply = await call
        assert reply.status == 504
        return reply.json().get("suggestion")

    assert await suggested() == "Consider using the neural pool for long operations"


async def test_a_draining_worker_gets_no_new_calls(house: RouterHouse) -> None:
    """They go to the other one."""
    old = await house.worker("general")
    old.send(Kind.DRAINING, 0)
    await house.until(lambda pool: not pool["ready"], "general")
    await house.worker("general", on_call=echo)
    assert (await house.execute("general", "echo")).status == 200
    assert old.calls.empty()


async def test_no_worker_and_none_on_its_way(tmp_path: Path) -> None:
    """503 at once with the reason; a pool whose workers start is waited for."""
    async with router_house(tmp_path) as house:
        house.pool("broken", cause="adapter", reason="no module named shop")
        house.pool("none", spec=spec(replicas=0), cause="scaled_to_zero")
        starting = {"name": "w-1", "incarnation": None, "state": "starting", "pid": 1}
        house.pool("general", workers=[starting], settled=False)
        await house.start()
        for pool, cause in (("broken", "adapter"), ("none", "scaled_to_zero")):
            reply = await house.execute(pool, "echo")
            problem = reply.json()
            assert (reply.status, problem["code"], problem["cause"]) == (503, "unavailable", cause)
            assert problem["retry_after_ms"] > 0
        waiting = asyncio.create_task(house.execute("general", "echo"))
        await house.until(lambda pool: pool["queued"] == 1, "general")
        await house.worker("general", on_call=echo)
        assert (await waiting).status == 200


async def test_commands_are_waited_for_like_a_slot(tmp_path: Path) -> None:
    """As after a restart of a router: its workers dial it a moment later."""
    async with router_house(tmp_path) as house:
        house.pool("none", spec=spec(replicas=0), cause="scaled_to_zero", reason="0 workers")
        house.pool("slow", spec=spec(queue={"maxLength": 4, "timeoutSeconds": 0}))
        house.pool("general")
        await house.start()
        waiting = asyncio.create_task(house.ask("GET", "/v1/pools/general/commands"))
        none, slow = [
            await house.ask("GET", f"/v1/pools/{pool}/commands") for pool in ("none", "slow")
        ]
        conditions = (await house.ask("GET", "/v1/pools/none")).json()["conditions"]
        assert not waiting.done()
        await house.worker("general", commands=[command("b"), command("a")])
        rows = (await waiting).json()["items"]

    assert (none.status, none.json()["cause"]) == (503, "scaled_to_zero")
    assert (slow.status, slow.json()["cause"]) == (503, "starting")
    assert [row["name"] for row in rows] == ["b", "a"]
    assert {row["type"]: row["status"] for row in conditions}["Degraded"] == "False"


async def test_an_adapter_may_offer_nothing(house: RouterHouse) -> None:
    await house.worker("general", commands=[])
    assert (await house.ask("GET", "/v1/pools/general/commands")).json() == {"items": []}


async def test_numbers_rise_and_errors_count(house: RouterHouse) -> None:
    """Refusals of paths are counted too, and have their own ids."""
    await house.worker("general", on_call=echo)
    await house.execute("general", "echo")
    assert (await house.execute("general", "nothing")).status == 404
    assert (await house.execute("nowhere", "echo")).json()["code"] == "pool_not_found"
    text = (await house.ask("GET", "/metrics")).body.decode()
    assert 'pythonpool_executions_total{code="ok",command="echo",pool="general"} 1.0' in text
    assert 'code="command_not_found",command="",pool="general"} 1.0' in text
    assert 'code="pool_not_found",command="",pool=""} 1.0' in text


async def test_sigterm_finishes_what_runs(house: RouterHouse) -> None:
    """The answer comes, closes its connection, and the router ends with 0."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    sent = await worker.call()
    (process,) = house.processes
    process.terminate()
    await asyncio.sleep(0)
    worker.result(sent.number, b"1", flags=SLOT_FREE)
    assert (await caller.reply()).status == 200
    assert await caller.is_closed()
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_sigterm_refuses_what_waits(house: RouterHouse) -> None:
    """Its workers end with it: who waits is told at once, and not cut off in the end."""
    worker = await house.worker("general")
    running, waiting = await house.caller(), await house.caller()
    running.request("POST", TARGET, b"{}")
    sent = await worker.call()
    waiting.request("POST", f"{TARGET}?queue_timeout=60", b"{}")
    await house.queued(1, "general")
    (process,) = house.processes
    process.terminate()
    refused = await waiting.reply()
    worker.result(sent.number, b"1", flags=SLOT_FREE)

    problem = refused.json()
    assert (refused.status, problem["cause"]) == (503, "shutting_down")
    assert (problem["outcome"], problem["retry_after_ms"] > 0) == ("not_started", True)
    assert (await running.reply()).status == 200
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_a_lying_worker_harms_only_itself(house: RouterHouse) -> None:
    """Bad frames close its link; unknown numbers are passed over; the other works on."""
    liar = await house.worker("general")
    liar.result(12345, b"1")
    liar.send(Kind.CANCELLED, 99, messages.END_HEAD.pack(SLOT_FREE, 1))
    liar.send(Kind.STATUS, 0, b'{"state": "happy"}')
    await asyncio.wait_for(liar.lost, 5)
    await house.worker("general", on_call=echo)
    assert (await house.execute("general", "echo")).status == 200


async def test_a_wrong_secret_is_turned_away(house: RouterHouse) -> None:
    """Which pool a worker is of, its secret says."""
    for worker in (LinkWorker("general", secret="wrong"), LinkWorker("nowhere")):
        await house.connect(worker)
        await asyncio.wait_for(worker.lost, 5)
        assert not worker.greeted.done()


async def test_a_newer_spec_reaches_running_workers(house: RouterHouse) -> None:
    """CONFIG on SIGHUP, when the generation is higher."""
    worker = await house.worker("general")
    row = house.pools["general"]
    row["generation"], row["spec"] = 2, spec(timeoutSeconds=60)
    house.read_again()
    _, config = await worker.frame(Kind.CONFIG)
    assert b'"generation":2' in config
    call = asyncio.create_task(house.execute("general", "echo"))
    sent = await worker.call()
    assert sent.call.timeout_ms == 60_000
    worker.result(sent.number, b"1")
    await call


async def test_cancel_is_answered_and_the_slot_comes_back(house: RouterHouse) -> None:
    """The hint is right again after CANCELLED."""
    worker = await house.worker("general")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    sent = await worker.call()
    await caller.close()
    _, reason = await worker.frame(Kind.CANCEL)
    assert reason[0] == CancelReason.CALLER_GONE
    worker.send(Kind.CANCELLED, sent.number, messages.END_HEAD.pack(SLOT_FREE, 1))
    call = asyncio.create_task(house.execute("general", "echo"))
    worker.result((await worker.call()).number, b"1")
    assert (await call).status == 200
