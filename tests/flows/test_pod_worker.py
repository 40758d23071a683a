"""A whole worker as in a pod, and real routers: TLS, tokens, discovery, drain, its two ends."""

import asyncio
import shutil
import signal
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cluster_house import ClusterHouse, cluster_house, pod_object, pool_object, router_pod
from pod_stage import pod_stage


@pytest.fixture
async def house() -> AsyncIterator[ClusterHouse]:
    """A pool with one pod, and one router that all know of."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    async with cluster_house(folder) as made:
        await made.api.put("pythonpools", pool_object("general", queue={"timeoutSeconds": 30}))
        await made.api.put("pods", pod_object("general-1", "general"))
        await made.api.put("pods", router_pod(0))
        await made.start(*made.monitored())
        yield made
    shutil.rmtree(folder)


async def linked(house: ClusterHouse, index: int = 0) -> None:
    """Wait until the worker has dialled that router."""
    async with asyncio.timeout(20):
        while not (await house.ask("GET", "/v1/pools/general", index=index)).json()["ready"]:
            await asyncio.sleep(0.02)


async def test_from_call_to_result(house: ClusterHouse) -> None:
    async with pod_stage(house, "general-1") as pod:
        reply = await asyncio.wait_for(house.execute("general", "echo", b'{"a":1}'), 20)
        assert (reply.status, reply.json()["echoed"]) == (200, {"a": 1})
        assert reply.headers["pythonpool-worker"] == "general-1"
        assert (await house.execute("general", "ping")).json()["worker"] == "general-1"
        mode = stat.S_IMODE((pod.folder / "keeper.sock").stat().st_mode)
        assert mode == 0o660, "agent and keeper are two users of one group"
        assert await pod.probed("/readyz") == 200


async def test_the_authority_may_come_after_the_pod(house: ClusterHouse) -> None:
    async with pod_stage(house, "general-1", has_authority=False) as pod:
        async with asyncio.timeout(20):
            while await pod.probed("/readyz") != 200:
                await asyncio.sleep(0.02)
        assert await house.ready() == 503
        shutil.copy(house.authority.file, pod.secrets / "ca.crt")
        await linked(house)


async def test_a_worker_follows_its_authorities(house: ClusterHouse) -> None:
    """A new one comes beside the old; a file that is gone for a while harms nobody."""
    async with pod_stage(house, "general-1") as pod:
        await linked(house)
        new = type(house.authority)(house.folder / "new", "the next one")
        old = house.authority.file.read_text()
        (pod.secrets / "ca.crt").write_text(new.file.read_text() + old)
        new.issue(house.certificate, "localhost")
        await restarted(house)
        await linked(house)
        (pod.secrets / "ca.crt").unlink()
        await restarted(house)
        await linked(house)


async def restarted(house: ClusterHouse) -> None:
    """Another router in place of the first."""
    first = house.processes.pop()
    first.kill()
    await first.wait()
    house.path(0).unlink()
    await house.start()


async def test_a_stranger_with_another_authority_gets_no_token(house: ClusterHouse) -> None:
    """The certificate of a router is checked before a byte is said to it."""
    stranger = type(house.authority)(house.folder / "stranger", "somebody else")
    stranger.issue(house.certificate, "localhost")
    async with pod_stage(house, "general-1") as pod:
        async with asyncio.timeout(20):
            while await pod.probed("/readyz") != 200:
                await asyncio.sleep(0.02)
        assert not (await house.ask("GET", "/v1/pools/general")).json()["ready"]
        house.authority.issue(house.certificate, "localhost")
        await linked(house)


async def test_a_new_router_is_dialled_and_a_lost_one_again(house: ClusterHouse) -> None:
    async with pod_stage(house, "general-1"):
        await linked(house)
        await house.start(index=1)
        await house.api.put("pods", router_pod(1))
        await linked(house, index=1)
        first = house.processes[0]
        first.kill()
        await first.wait()
        house.path(0).unlink()
        await house.start(index=0)
        await linked(house)
        assert (await house.ask("POST", "/v1/pools/general/execute/ping", b"{}", 1)).status == 200


async def test_a_new_token_is_read_at_the_next_dial(house: ClusterHouse) -> None:
    async with pod_stage(house, "general-1") as pod:
        await linked(house)
        (pod.secrets / "token").write_text("stale")
        first = house.processes[0]
        first.kill()
        await first.wait()
        house.path(0).unlink()
        await house.start()
        assert not (await house.ask("GET", "/v1/pools/general")).json()["ready"]
        (pod.secrets / "token").write_text(house.token("general-1"))
        await linked(house)


async def test_sigterm_drains_and_both_end_with_0(house: ClusterHouse) -> None:
    async with pod_stage(house, "general-1") as pod:
        await linked(house)
        pod.agent.send_signal(signal.SIGTERM)
        assert await pod.ends() == (0, 0)


async def test_who_asks_for_recycling_serves_on_and_the_routers_say_so(
    house: ClusterHouse,
) -> None:
    """The operator makes the new pod first; without an operator nothing is lost."""
    async with pod_stage(house, "general-1") as pod:
        await linked(house)
        path = "/v1/pools/general/workers/general-1/recycle"
        assert (await house.ask("POST", path)).status == 202
        async with asyncio.timeout(5):
            while (await house.load())["general"]["workers"][0]["replace"] != "asked":
                await asyncio.sleep(0.02)
        assert (await house.execute("general", "ping")).status == 200
        pod.agent.send_signal(signal.SIGTERM)
        assert await pod.ends() == (0, 0)


async def test_where_no_new_pod_comes_first_it_drains_and_starts_again(
    house: ClusterHouse,
) -> None:
    """The kubelet starts both containers again: here it is seen that they end."""
    async with pod_stage(house, "general-1", in_place=True) as pod:
        await linked(house)
        path = "/v1/pools/general/workers/general-1/recycle"
        assert (await house.ask("POST", path)).status == 202
        assert await pod.ends() == (0, 0)


async def test_a_worker_that_can_not_start_ends_with_1(house: ClusterHouse) -> None:
    async with pod_stage(house, "general-1", adapter="nowhere:Nothing") as pod:
        assert (await pod.ends())[0] == 1
