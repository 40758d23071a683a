"""Picking a pool for a command, near names, and the suggestion after a timeout."""

from typing import Any

import pytest
from router_house import command
from router_objects import call_in, listed, pools_of

from pythonpool.errors import CommandNotFound, PoolNotFound
from pythonpool_router import refusals
from pythonpool_router.picking import pick_pool
from pythonpool_router.pools import Pool, Pools
from pythonpool_router.workers import Worker


class Standing:
    """Stands for a link: only that there is one matters here."""


def staff(pool: Pool, *commands: str, free: int = 1, slots: int = 1) -> Worker:
    """A ready worker of `pool` that offers `commands`."""
    worker = Worker(pool, f"{pool.name}-{len(pool.workers)}", "0" * 16)
    worker.link = Standing()  # type: ignore[assignment]
    worker.state, worker.slots = "ready", slots
    worker.catalogue = {name: command(name) for name in commands}
    pool.workers[worker.name] = worker
    worker.set_free(free)
    pool.learn_commands()
    return worker


def two(**long: Any) -> Pools:
    """`short` of 10 s and `long` of 100 s."""
    return pools_of(listed("short", timeoutSeconds=10), listed("long", timeoutSeconds=100, **long))


def test_globs_come_before_catalogues() -> None:
    """What the operator wrote wins over what adapters happen to offer."""
    pools = two(operations=["train_*"])
    staff(pools.get("short"), "train_model", "echo")
    staff(pools.get("long"), "train_model")
    assert pick_pool(pools, "train_model", None).name == "long"
    assert pick_pool(pools, "echo", None).name == "short"


def test_never_a_pool_that_is_not_ready_while_a_ready_one_offers_it() -> None:
    """Also against the globs."""
    pools = two(operations=["train_*"])
    staff(pools.get("short"), "train_model")
    assert pick_pool(pools, "train_model", None).name == "short"


def test_a_free_slot_that_covers_the_timeout() -> None:
    """Else the shortest expected wait."""
    pools = two()
    short = staff(pools.get("short"), "echo")
    staff(pools.get("long"), "echo")
    assert pick_pool(pools, "echo", None).name == "short"
    assert pick_pool(pools, "echo", 50_000).name == "long"
    short.set_free(0)
    assert pick_pool(pools, "echo", None).name == "long"


def test_the_shortest_expected_wait() -> None:
    """Of pools without a free slot: line, service time and slots."""
    pools = two()
    for name, service in (("short", 5.0), ("long", 1.0)):
        staff(pools.get(name), "echo", free=0)
        pools.get(name).promise.served(service)
    assert pick_pool(pools, "echo", None).name == "long"
    pools.get("long").queued = 10
    assert pick_pool(pools, "echo", None).name == "short"


def test_near_names() -> None:
    """A typing mistake is answered with what was meant."""
    pools = two()
    staff(pools.get("short"), "train_model", "echo")
    with pytest.raises(CommandNotFound, match="near names are train_model"):
        pick_pool(pools, "trian_model", None)
    with pytest.raises(PoolNotFound, match="there is short"):
        pools.get("shrot")


def test_the_suggestion_after_a_timeout() -> None:
    """The next longer ready pool; those that offer the command first; none without one."""
    pools = pools_of(
        listed("a", timeoutSeconds=10),
        listed("b", timeoutSeconds=20),
        listed("c", timeoutSeconds=30),
        listed("d", timeoutSeconds=40),
    )
    call = call_in(pools.get("a"), 0.0)
    assert refusals.suggestion(call, pools) is None
    staff(pools.get("b"), "other")
    assert refusals.suggestion(call, pools) == "Consider using the b pool for long operations"
    staff(pools.get("c"), "echo")
    staff(pools.get("d"), "echo")
    assert refusals.suggestion(call, pools) == "Consider using the c pool for long operations"
    assert refusals.suggestion(call_in(pools.get("d"), 0.0), pools) is None


def test_slots_of_ready_and_draining_workers() -> None:
    """available + busy = total; a draining worker counts for what it still runs."""
    pool = pools_of(listed("a")).get("a")
    staff(pool, "echo", free=3, slots=4)
    draining = staff(pool, "echo", free=0, slots=4)
    draining.state, draining.busy = "draining", 2
    slots = pool.slots()
    assert (slots.available, slots.busy, slots.total) == (3, 3, 6)


def test_a_commands_own_timeout_is_cut_to_the_maximum() -> None:
    """Neither command nor pool may name more."""
    pool = pools_of(listed("a", timeoutSeconds=30, maxTimeoutSeconds=60)).get("a")
    worker = staff(pool)
    worker.catalogue = {
        "slow": command("slow", timeout_seconds=100),
        "quick": command("quick", timeout_seconds=0.5),
        "plain": command("plain"),
    }
    pool.learn_commands()
    assert pool.timeouts_ms == {"slow": 60_000, "quick": 500, "plain": 30_000}


def test_status_makes_the_hint_right() -> None:
    """Slots of other routers and this router's own calls under way are not free."""
    pool = pools_of(listed("a")).get("a")
    worker = staff(pool, "echo", slots=8)
    news = {
        "state": "ready", "slots": 8, "busy": 5, "yours": 2, "sessions": 0, "session_room": 4,
        "memory_bytes": 1, "calls": 9, "generation": 1, "exits": {"signal:9": 1},
        "session_ends": {},
    }  # fmt: skip
    worker.learn(news, in_flight=3)
    assert (worker.others, worker.free) == (3, 2)
    worker.learn({**news, "state": "draining"}, in_flight=0)
    assert worker not in pool.idle
    with pytest.raises(ValueError, match="state"):
        worker.learn({**news, "state": "odd"}, in_flight=0)
