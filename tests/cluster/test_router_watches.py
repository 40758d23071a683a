"""A real router against a real API server: its rights, its watches, real bound tokens."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from cluster_house import PodWorker
from operator_stage import POOLS, Api, Space
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


_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_KEYS_FOR_ALL = f"{_BINDINGS}/system:service-account-issuer-discovery"


@pytest.fixture
def hidden_keys(api: Api) -> Iterator[None]:
    """A cluster whose service accounts may not read its public keys."""
    binding = api.get(_KEYS_FOR_ALL)
    api.ask("DELETE", _KEYS_FOR_ALL)
    yield
    kept = {name: binding["metadata"].get(name) for name in ("name", "labels", "annotations")}
    api.ask("POST", _BINDINGS, binding | {"metadata": kept})


async def test_where_keys_are_hidden_tokens_are_reviewed(
    space: Space, api: Api, hidden_keys: None
) -> None:
    """With the right that the chart gives for it."""
    space.make()
    async with real_house(space) as house:
        subject = {"kind": "ServiceAccount", "name": "pythonpool-router", "namespace": space.name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
        body = {
            "metadata": {"name": f"review-{space.name}"},
            "roleRef": role | {"name": "system:auth-delegator"},
            "subjects": [subject],
        }
        api.ask("POST", _BINDINGS, body)
        house.more_arguments = ["--token-review"]
        await house.start()
        pod = house.make_pod("shop-1")
        await house.bound_worker(pod, on_call=echo)
        assert (await house.execute("shop", "echo", b"{}")).status == 200
        other = PodWorker("shop", name="shop-1", token=house.bound_token(pod, "another"))
        await house.connect(other)
        await asyncio.wait_for(other.lost, SECONDS)
        assert not other.greeted.done()


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
