"""Workers' tokens where the cluster's keys can not be read: the API server is asked about them."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_standin import Signer, claims_of
from cluster_house import ClusterHouse, PodWorker, cluster_house, pod_object, pool_object
from router_house import SECONDS, echo


@pytest.fixture
async def house() -> AsyncIterator[ClusterHouse]:
    """One pool with one ready pod; the keys are hidden, no router yet."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    async with cluster_house(folder) as made:
        await made.api.put("pythonpools", pool_object("general"))
        await made.api.put("pods", pod_object("general-1", "general"))
        made.api.hides_keys = 403
        made.more_arguments = ["--token-review"]
        yield made
    shutil.rmtree(folder)


async def refused(house: ClusterHouse, token: str) -> None:
    worker = PodWorker("general", name="general-1", token=token)
    await house.connect(worker)
    await asyncio.wait_for(worker.lost, SECONDS)
    assert not worker.greeted.done()


@pytest.mark.parametrize("status", [403, 404])
async def test_a_worker_is_known_by_review(house: ClusterHouse, status: int) -> None:
    house.api.hides_keys = status
    await house.start()
    await house.pod_worker("general-1", on_call=echo)
    assert (await house.execute("general", "echo", b"{}")).status == 200
    (asked,) = house.api.reviews
    assert asked["audiences"] == ["pythonpool-link"]


async def test_an_answer_is_remembered(house: ClusterHouse) -> None:
    """Of one token many links may be made: to a router that was cut off, for one."""
    await house.start()
    token = house.token("general-1")
    for _ in range(3):
        worker = PodWorker("general", name="general-1", token=token)
        await house.dial(worker)
    assert len(house.api.reviews) == 1


async def test_a_refusal_is_remembered_too(house: ClusterHouse) -> None:
    await house.start()
    await house.pod_worker("general-1")
    house.api.reviews.clear()
    claims = claims_of("general-1", "uid-general-1", "pythonpool-general")
    forged = Signer("one").token(claims)
    for _ in range(3):
        await refused(house, forged)
    assert len(house.api.reviews) == 1


async def test_of_strangers_nobody_is_asked(house: ClusterHouse) -> None:
    """A pod that is not known, another audience's name, or no token at all."""
    await house.start()
    await house.pod_worker("general-1")
    house.api.reviews.clear()
    signer = house.api.signers[0]
    await refused(house, signer.token(claims_of("ghost", "uid-ghost", "pythonpool-general")))
    await refused(house, signer.token(claims_of("general-1", "uid-2", "pythonpool-general")))
    await refused(house, "no token")
    assert house.api.reviews == []


async def test_a_token_of_another_audience_is_refused(house: ClusterHouse) -> None:
    await house.start()
    await refused(house, house.token("general-1", aud=["https://kubernetes.default.svc"]))
    await house.pod_worker("general-1")


async def test_the_link_of_a_pod_that_is_gone_is_closed(house: ClusterHouse) -> None:
    await house.start()
    worker = await house.pod_worker("general-1")
    await house.api.delete("pods", "general-1")
    await asyncio.wait_for(worker.lost, SECONDS)
    await refused(house, house.token("general-1"))


async def test_unasked_for_nobody_is_reviewed(house: ClusterHouse) -> None:
    house.more_arguments = []
    await house.start()
    await refused(house, house.token("general-1"))
    assert house.api.reviews == []


async def test_where_keys_can_be_read_nobody_is_asked(house: ClusterHouse) -> None:
    house.api.hides_keys = 0
    await house.start()
    await house.pod_worker("general-1")
    assert house.api.reviews == []
