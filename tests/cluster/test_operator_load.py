"""What the operator makes of its routers' load: a real API server, a real router, a real operator.

The test is the controllers: it makes the pods that a Deployment asks for, and writes its status.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cluster_house import PodWorker, free_port
from operator_stage import Api, Space, operator, wait
from real_house import RealHouse, real_house

COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.fixture
async def house(space: Space) -> AsyncIterator[RealHouse]:
    """A router whose load can be asked for."""
    async with real_house(space) as made:
        await made.start(*made.monitored())
        yield made


def flags(house: RealHouse, port: int = 0) -> tuple[str, ...]:
    """An operator of this namespace that looks at the router often."""
    where = ("--load-host", "127.0.0.1", "--load-port", str(port or house.monitoring_port))
    return ("--namespace", house.namespace, *where, "--load-seconds", "0.2")


async def aside(what: Callable[[], Any]) -> Any:
    """Wait for something of the API server while workers answer their router."""
    return await asyncio.to_thread(wait, what)


async def grown(house: RealHouse, *names: str, ready: int = 0) -> list[PodWorker]:
    """Pods of the pool with their workers, and the Deployment's status of them all."""
    await aside(lambda: house.space.api.find(house.space.path("serviceaccounts")))
    workers = [await house.bound_worker(house.make_pod(name)) for name in names]
    count = ready or len(names)
    house.space.deployment_status(replicas=count, updatedReplicas=count, readyReplicas=count)
    return workers


def replicas(space: Space) -> int:
    return int(space.deployment()["spec"]["replicas"])


def costs(space: Space) -> dict[str, str]:
    """The deletion costs that pods carry."""
    pods = space.api.items(f"/api/v1/namespaces/{space.name}/pods")
    found = {pod["metadata"]["name"]: pod["metadata"].get("annotations", {}) for pod in pods}
    return {name: given[COST] for name, given in found.items() if COST in given}


async def test_idle_pods_are_the_first_to_go(api: Api, space: Space, house: RealHouse) -> None:
    with operator(api, *flags(house)):
        space.make(replicas=3)
        busy, _, holder = await grown(house, "shop-1", "shop-2", "shop-3")
        await aside(lambda: space.condition("Progressing").get("reason") == "Settled")
        busy.status(busy=1)
        holder.status(sessions=2)
        await house.until(lambda state: state["sessions"] == 2, "shop")
        assert costs(space) == {}, "nothing is written while nothing is taken away"

        path = f"/apis/pythonpool.dev/v1alpha1/namespaces/{space.name}/pythonpools/shop/scale"
        api.ask("PATCH", path, {"spec": {"replicas": 1}})

        await aside(lambda: replicas(space) == 1)
        assert costs(space) == {"shop-1": "1", "shop-3": "2"}


async def test_without_routers_it_goes_on_with_what_is_known(
    api: Api, space: Space, house: RealHouse
) -> None:
    with operator(api, *flags(house, free_port())):
        space.make(replicas=2)
        await aside(lambda: replicas(space) == 2)

        space.change(replicas=1)

        await aside(lambda: replicas(space) == 1)


async def test_a_worker_is_replaced_before_it_goes(
    api: Api, space: Space, house: RealHouse
) -> None:
    """Through the end of one operator and the start of another in the middle of it."""
    with operator(api, *flags(house)):
        space.make()
        (old,) = await grown(house, "shop-1")
        await aside(lambda: space.condition("Progressing").get("reason") == "Settled")
        old.status(replace="asked")
        await aside(lambda: replicas(space) == 2)
        await aside(lambda: space.condition("Progressing").get("reason") == "Recycling")

    with operator(api, *flags(house)) as again:
        await aside(lambda: again.looks() >= 1)
        assert replicas(space) == 2, "the new pod is not ready"
        status = space.pool()["status"]
        assert (status["replicas"], status["readyReplicas"]) == (1, 1)

        await grown(house, "shop-2", ready=2)

        await aside(lambda: replicas(space) == 1)
        assert costs(space) == {"shop-1": "-2"}
        status = space.pool()["status"]
        assert (status["replicas"], status["readyReplicas"]) == (1, 1)
        path = f"/api/v1/namespaces/{space.name}/pods/shop-1"
        api.ask("DELETE", path, {"gracePeriodSeconds": 0})
        space.deployment_status(replicas=1, updatedReplicas=1, readyReplicas=1)
        await aside(lambda: space.condition("Progressing").get("reason") == "Settled")
        assert replicas(space) == 1


async def test_a_worker_that_is_too_old_is_named(api: Api, space: Space, house: RealHouse) -> None:
    with operator(api, *flags(house)):
        space.make()
        await aside(lambda: api.find(space.path("serviceaccounts")))
        pod = house.make_pod("shop-1")
        space.deployment_status(replicas=1, updatedReplicas=1, readyReplicas=1)
        await aside(lambda: space.condition("Ready").get("status") == "True")

        async with asyncio.timeout(15):
            while space.condition("Degraded").get("reason") != "WorkerTooOld":
                token = house.bound_token(pod)
                old = PodWorker("shop", name="shop-1", token=token, protocol=(0, 0))
                await house.connect(old)
                await old.lost

        degraded = space.condition("Degraded")
        assert degraded["message"].startswith("1 of 1 workers speak version 0 of the link")
        assert space.condition("Ready")["reason"] == "WorkerTooOld"

        def told() -> bool:
            path = f"/apis/events.k8s.io/v1/namespaces/{space.name}/events"
            return any(each["reason"] == "WorkerTooOld" for each in api.items(path))

        await aside(told)
