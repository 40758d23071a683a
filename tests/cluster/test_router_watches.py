"""A real router against a real API server: its rights, its watches, real bound tokens."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from cluster_house import PodWorker
from operator_stage import POOLS, Space
from real_house import RealHouse, real_house
from router_house import SECONDS, echo

from pythonpool.messages import Kind


@pytest.fixture
async def house(space: Space) -> AsyncIterator[RealHouse]:
    """A pool and a router."""
    space.make()
    async with real_house(space) as made:
        await made.start()
        yield made


async def test_a_bound_token_of_a_real_pod_is_taken(house: RealHouse) -> None:
    pod = house.make_pod("shop-1")
    await house.bound_worker(pod, on_call=echo)
    reply = await house.execute("shop", "echo", b'{"a":1}')
    assert (reply.status, reply.body) == (200, b'{"a":1}')


async def test_tokens_for_others_are_refused(house: RealHouse) -> None:
    pod = house.make_pod("shop-1")
    await house.bound_worker(pod)
    worker = PodWorker("shop", name="shop-1", token=house.bound_token(pod, "another"))
    await house.connect(worker)
    await asyncio.wait_for(worker.lost, SECONDS)


async def test_the_pod_watch_closes_the_link(house: RealHouse) -> None:
    pod = house.make_pod("shop-1")
    worker = await house.bound_worker(pod)
    path = f"/api/v1/namespaces/{house.namespace}/pods/shop-1"
    house.space.api.ask("DELETE", path, {"gracePeriodSeconds": 0})
    await asyncio.wait_for(worker.lost, SECONDS)


async def test_pools_change_and_go(house: RealHouse) -> None:
    pod = house.make_pod("shop-1")
    worker = await house.bound_worker(pod)
    await worker.frame(Kind.CONFIG)
    house.space.change(timeoutSeconds=7)
    config = json.loads((await worker.frame(Kind.CONFIG))[1])
    assert (config["generation"], config["spec"]["timeoutSeconds"]) == (2, 7)
    house.space.api.ask("DELETE", f"{POOLS.format(house.namespace)}/shop")
    await house.until(lambda state: state.get("code") == "pool_not_found", "shop")
    assert (await house.execute("shop", "echo")).json()["code"] == "pool_not_found"
