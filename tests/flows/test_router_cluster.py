"""A router in a cluster: pools and pods by watch, workers by TLS and token, words for callers."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from api_standin import Signer, claims_of
from cluster_house import (
    ClusterHouse,
    PodWorker,
    cluster_house,
    free_port,
    pod_object,
    pool_object,
    router_pod,
    starting,
)
from router_house import SECONDS, echo

from pythonpool.messages import Kind, Refusal

TARGET = "/v1/pools/general/execute/echo"


@pytest.fixture
async def empty() -> AsyncIterator[ClusterHouse]:
    """An API server without objects, and no router yet."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    async with cluster_house(folder) as house:
        yield house
    shutil.rmtree(folder)


@pytest.fixture
async def house(empty: ClusterHouse) -> ClusterHouse:
    """One pool with one ready pod, and a router."""
    await empty.api.put("pythonpools", pool_object("general"))
    await empty.api.put("pods", pod_object("general-1", "general"))
    await empty.start()
    return empty


async def test_a_worker_is_known_by_its_token_and_serves(house: ClusterHouse) -> None:
    worker = await house.pod_worker("general-1", on_call=echo)
    reply = await house.execute("general", "echo", b'{"a":1}')
    assert (reply.status, reply.body) == (200, b'{"a":1}')
    assert reply.headers["pythonpool-worker"] == worker.name
    generation = json.loads((await worker.frame(Kind.CONFIG))[1])["generation"]
    assert generation == 1


async def test_any_host_may_call_but_only_with_the_token(house: ClusterHouse) -> None:
    await house.pod_worker("general-1", on_call=echo)
    host, page = "pythonpool-router.shop.svc", "http://page.example"
    assert (await house.ask("POST", TARGET, b"{}", Host=host, Origin=page)).status == 200
    assert (await house.ask("POST", TARGET, b"{}", Authorization="")).status == 401


STRANGER = Signer("one")
"""Signs under the name of the cluster's key."""


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["https://kubernetes.default.svc"]},
        {"iss": "https://elsewhere"},
        {"exp": 1_000_000_000},
        {"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "pythonpool-general"}}},
        {
            "sub": "system:serviceaccount:other:pythonpool-general",
            "kubernetes.io": {
                "namespace": "other",
                "pod": {"name": "general-1", "uid": "uid-general-1"},
                "serviceaccount": {"name": "pythonpool-general"},
            },
        },
    ],
    ids=["audience", "issuer", "expired", "no pod", "namespace"],
)
async def test_other_tokens_are_refused(house: ClusterHouse, changes: dict[str, Any]) -> None:
    token = house.token("general-1", **changes)
    worker = PodWorker("general", name="general-1", token=token)
    await house.connect(worker)
    await asyncio.wait_for(worker.lost, SECONDS)
    assert not worker.greeted.done()


async def test_the_word_of_a_worker_counts_for_nothing(house: ClusterHouse) -> None:
    await house.api.put("pythonpools", pool_object("other"))
    await house.api.put("pods", pod_object("other-1", "other"))
    await house.pod_worker("other-1", pool="other")
    claims = claims_of("general-1", "uid-general-1", "pythonpool-general")
    forged = STRANGER.token(claims)
    foreign = house.token("general-1", "other")  # a pod of general does not run as this account
    unknown = house.api.signers[0].token(claims_of("general-1", "uid-other", "pythonpool-general"))
    mine = house.token("general-1")
    for name, token in [("general-1", forged), ("general-1", foreign), ("general-1", unknown)]:
        worker = PodWorker("general", name=name, token=token)
        await house.connect(worker)
        await asyncio.wait_for(worker.lost, SECONDS)
    namesake = PodWorker("general", name="other-1", token=mine)
    await house.connect(namesake)
    await asyncio.wait_for(namesake.lost, SECONDS)
    liar = PodWorker("other", name="general-1", token=mine)  # the pool is that of the pod
    await house.dial(liar)
    assert (await house.until(lambda state: state["ready"], "general"))["total"] == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(empty: ClusterHouse) -> None:
    """Not at once: at most one question a minute, and the first was at the start."""
    house = empty
    await house.api.put("pythonpools", pool_object("general"))
    await house.api.put("pods", pod_object("general-1", "general"))
    await house.start()
    await house.pod_worker("general-1")
    house.api.signers.append(Signer("two"))
    worker = PodWorker("general", name="general-1", token=house.token("general-1"))
    await house.connect(worker)
    await asyncio.wait_for(worker.lost, SECONDS)
    assert house.api.requests.count("keys") == 1


async def test_the_link_of_a_pod_that_is_gone_is_closed(house: ClusterHouse) -> None:
    worker = await house.pod_worker("general-1")
    await house.api.delete("pods", "general-1")
    await asyncio.wait_for(worker.lost, SECONDS)
    state = await house.until(lambda state: state["workers"] == 0, "general")
    assert state["ready"] is False


async def test_pools_come_change_and_go(house: ClusterHouse) -> None:
    worker = await house.pod_worker("general-1")
    await worker.frame(Kind.CONFIG)
    changed = pool_object("general", timeoutSeconds=7)
    changed["metadata"]["generation"] = 2
    await house.api.put("pythonpools", changed)
    config = json.loads((await worker.frame(Kind.CONFIG))[1])
    assert (config["generation"], config["spec"]["timeoutSeconds"]) == (2, 7)
    await house.api.delete("pythonpools", "general")
    await house.until(lambda state: state.get("code") == "pool_not_found", "general")
    assert (await house.execute("general", "echo")).json()["code"] == "pool_not_found"


async def test_running_calls_of_a_deleted_pool_finish(house: ClusterHouse) -> None:
    """Kubernetes ends its pods, which have their grace; the link is theirs to close."""
    worker = await house.pod_worker("general-1")
    running = asyncio.create_task(house.execute("general", "echo", b'{"a":1}'))
    sent = await worker.call()
    waiting = asyncio.create_task(house.execute("general", "echo"))
    await house.queued(1, "general")

    await house.api.delete("pythonpools", "general")

    assert (await waiting).json()["code"] == "pool_not_found"
    assert (await house.execute("general", "echo")).json()["code"] == "pool_not_found"
    worker.result(sent.number, b"done")
    reply = await running
    assert (reply.status, reply.body) == (200, b"done")
    assert not worker.lost.done()
    await house.api.delete("pods", "general-1")
    await asyncio.wait_for(worker.lost, SECONDS)


async def test_a_call_that_a_leaving_worker_refuses_does_not_wait(house: ClusterHouse) -> None:
    """It was sent just before the pool was deleted; nobody would ever look at that line."""
    worker = await house.pod_worker("general-1")
    running = asyncio.create_task(house.execute("general", "echo"))
    sent = await worker.call()
    await house.api.delete("pythonpools", "general")
    await house.until(lambda state: state.get("code") == "pool_not_found", "general")

    worker.refuse(sent.number, Refusal.DRAINING)

    assert (await running).json()["code"] == "pool_not_found"


async def test_a_pool_that_comes_back_finds_its_workers(house: ClusterHouse) -> None:
    """Deleted with its objects left behind, and made again: its pods stay, and their links."""
    await house.pod_worker("general-1", on_call=echo)
    await house.api.delete("pythonpools", "general")
    await house.until(lambda state: state.get("code") == "pool_not_found", "general")

    await house.api.put("pythonpools", pool_object("general"))

    await house.until(lambda state: state.get("ready") is True, "general")
    assert (await house.execute("general", "echo")).status == 200


async def test_calls_wait_while_ready_pods_have_not_dialled(house: ClusterHouse) -> None:
    """Even when the operator calls the pool Degraded."""
    degraded = pool_object("general", queue={"timeoutSeconds": 5})
    condition = {"type": "Degraded", "status": "True", "reason": "CrashLooping", "message": "x"}
    degraded["status"] = {"conditions": [condition]}
    await house.api.put("pythonpools", degraded)
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    await house.queued(1, "general")
    await house.pod_worker("general-1", on_call=echo)
    assert (await caller.reply()).status == 200


async def test_a_degraded_pool_says_why(house: ClusterHouse) -> None:
    degraded = pool_object("general")
    words = "agent: no such module"
    condition = {"type": "Degraded", "status": "True", "reason": "CrashLooping", "message": words}
    degraded["status"] = {"conditions": [condition]}
    await house.api.put("pods", pod_object("general-1", "general", **starting()))
    await house.api.put("pythonpools", degraded)
    await house.until(lambda state: state["conditions"][2]["status"] == "True", "general")
    problem = (await house.execute("general", "echo")).json()
    assert (problem["code"], problem["cause"]) == ("unavailable", "crash_looping")
    assert words in problem["detail"]


async def test_ready_when_nine_of_ten_ready_workers_have_dialled(empty: ClusterHouse) -> None:
    house = empty
    await house.api.put("pythonpools", pool_object("general"))
    for number in range(10):
        await house.api.put("pods", pod_object(f"general-{number}", "general"))
    await house.api.put("pods", pod_object("general-late", "general", **starting()))
    await house.start()
    for number in range(8):
        await house.pod_worker(f"general-{number}")
    assert await house.ready() == 503
    ninth = await house.pod_worker("general-8")
    assert await house.ready() == 200
    ninth.transport.abort()
    await house.until(lambda state: state["total"] == 8, "general")
    assert await house.ready() == 200, "once ready, a router stays so"


async def test_the_last_answer_stays_while_the_api_server_is_away(house: ClusterHouse) -> None:
    await house.pod_worker("general-1", on_call=echo)
    await house.api.stop()
    assert (await house.execute("general", "echo")).status == 200
    again = await house.pod_worker("general-1", on_call=echo)
    assert (await house.execute("general", "echo")).headers["pythonpool-worker"] == again.name
    await house.api.start()
    await house.api.put("pythonpools", pool_object("late"))
    async with asyncio.timeout(15):
        while (await house.ask("GET", "/v1/pools/late")).status != 200:
            await asyncio.sleep(0.05)


async def test_what_a_watch_has_missed_comes_with_the_next_list(house: ClusterHouse) -> None:
    """A version that is too old is no end, and what is gone since is forgotten."""
    worker = await house.pod_worker("general-1")
    del house.api.objects["pods"]["general-1"]  # no event tells of it
    await house.api.put("pods", pod_object("general-2", "general"))
    house.api.forget()
    await house.api.cut()
    await asyncio.wait_for(worker.lost, SECONDS)
    await house.pod_worker("general-2", on_call=echo)
    assert (await house.execute("general", "echo")).headers["pythonpool-worker"] == "general-2"


def oom_status(when: str) -> dict[str, object]:
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": when}}
    return {"initContainerStatuses": [{"name": "executors", "lastState": ended, "state": {}}]}


async def test_an_oom_of_the_container_is_told_with_its_limit(house: ClusterHouse) -> None:
    """The agent lives and only knows that its keeper is gone; the pod watch knows why."""
    worker = await house.pod_worker("general-1")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    sent = await worker.call()
    worker.error(sent.number, code="worker_crashed", cause="unknown", outcome="unknown")
    await house.api.put("pods", pod_object("general-1", "general", **oom_status("12:00")))
    problem = (await caller.reply()).json()
    assert (problem["code"], problem["cause"]) == ("out_of_memory", "container")
    assert (problem["limit_bytes"], problem["outcome"]) == (512 * 2**20, "unknown")
    assert problem["worker"] == "general-1"


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "evicted"),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True",
                             "reason": "PreemptionByScheduler"}]},
            "preempted",
        ),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True",
                             "reason": "DeletionByTaintManager"}]},
            "node_lost",
        ),
    ],
)  # fmt: skip
async def test_the_pods_reason_goes_to_the_callers(
    house: ClusterHouse, status: dict[str, object], cause: str
) -> None:
    worker = await house.pod_worker("general-1")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    await worker.call()
    worker.transport.abort()
    await house.api.put("pods", pod_object("general-1", "general", **status))
    reply = await caller.reply()
    problem = reply.json()
    assert (problem["code"], problem["cause"]) == ("worker_crashed", cause)
    assert problem["outcome"] == "unknown"


async def test_a_loss_that_nobody_explains_is_told_within_two_seconds(house: ClusterHouse) -> None:
    worker = await house.pod_worker("general-1")
    caller = await house.caller()
    caller.request("POST", TARGET, b"{}")
    await worker.call()
    loop = asyncio.get_running_loop()
    before = loop.time()
    worker.transport.abort()
    problem = (await caller.reply()).json()
    assert (problem["code"], problem["cause"]) == ("worker_crashed", "link_lost")
    assert loop.time() - before < 4


async def test_a_session_waits_for_its_life_of_the_worker(house: ClusterHouse) -> None:
    """Of a pod nobody knows the incarnation before its agent dials."""
    life, other = "a" * 16, "b" * 16
    mine, foreign = (f"general.general-1.{each}.{'0' * 32}" for each in (life, other))
    callers = [await house.caller() for _ in range(2)]
    for caller, session in zip(callers, (mine, foreign), strict=True):
        caller.request("POST", f"/v1/sessions/{session}/execute/echo", b"{}")
    await house.queued(2, "general")
    await house.pod_worker("general-1", incarnation=life, on_call=echo)
    assert (await callers[0].reply()).status == 200
    problem = (await callers[1].reply()).json()
    assert (problem["code"], problem["cause"]) == ("session_lost", "worker_gone")


async def test_workers_are_told_of_all_routers(house: ClusterHouse) -> None:
    worker = await house.pod_worker("general-1")
    for index, count in ((0, 1), (1, 2)):
        await house.api.put("pods", router_pod(index))
        addresses = json.loads((await worker.frame(Kind.ROUTERS))[1])
        assert len(addresses) == count
    ports = [f"tls:127.0.0.{number}:{house.link_port}" for number in (1, 2)]
    assert addresses == ports
    late = await house.pod_worker("general-1")
    assert json.loads((await late.frame(Kind.ROUTERS))[1]) == ports


async def test_the_certificate_is_read_again_when_it_changes(house: ClusterHouse) -> None:
    first = await house.pod_worker("general-1")
    before = first.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    house.authority.issue(house.certificate, "pythonpool-links.shop.svc")
    second = await house.pod_worker("general-1")
    after = second.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    assert before != after


async def test_a_router_waits_for_the_api_server_however_long(empty: ClusterHouse) -> None:
    """Its probes are answered meanwhile, and it serves when the pools are known."""
    house = empty
    await house.api.put("pythonpools", pool_object("general"))
    await house.api.stop()
    monitoring = free_port()
    coming = asyncio.create_task(house.start("--monitoring", f"tcp:127.0.0.1:{monitoring}"))
    assert await probed(monitoring, "/livez") == 200
    assert await probed(monitoring, "/readyz") == 503
    assert not house.path(0).exists()
    await house.api.start()
    await coming
    assert await probed(monitoring, "/readyz") == 200


async def test_a_router_that_waits_can_be_ended(empty: ClusterHouse) -> None:
    house = empty
    await house.api.stop()
    monitoring = free_port()
    coming = asyncio.create_task(house.start("--monitoring", f"tcp:127.0.0.1:{monitoring}"))
    assert await probed(monitoring, "/livez") == 200
    coming.cancel()
    (router,) = house.processes
    router.terminate()
    assert await asyncio.wait_for(router.wait(), SECONDS) == 0


async def test_the_monitoring_port_tells_the_load(empty: ClusterHouse) -> None:
    """What the operator goes by: who is busy, who holds sessions, who wants to be replaced."""
    house = empty
    await house.api.put("pythonpools", pool_object("general"))
    await house.api.put("pods", pod_object("general-1", "general"))
    await house.start(*house.monitored())
    worker = await house.pod_worker("general-1", slots=2)
    running = asyncio.create_task(house.execute("general", "echo"))
    sent = await worker.call()
    worker.status(busy=1, yours=1, sessions=3, replace="age")
    await house.until(lambda state: state["sessions"] == 3, "general")

    (shown,) = (await house.load())["general"]["workers"]

    assert shown == {
        "name": "general-1",
        "busy": 1,
        "sessions": 3,
        "draining": False,
        "replace": "age",
        "protocol": 1,
    }
    assert (await house.ask("GET", "/load")).status == 404, "not for callers"
    worker.result(sent.number, b"{}")
    assert (await running).status == 200


async def test_a_worker_that_is_too_old_is_remembered(empty: ClusterHouse) -> None:
    house = empty
    await house.api.put("pythonpools", pool_object("general"))
    await house.api.put("pods", pod_object("general-1", "general"))
    await house.start(*house.monitored())
    await house.pod_worker("general-1")
    old = PodWorker("general", name="general-1", token=house.token("general-1"), protocol=(0, 0))
    await house.connect(old)
    await asyncio.wait_for(old.lost, SECONDS)
    assert (await house.load())["general"]["refused"] == [{"name": "general-1", "protocol": [0, 0]}]

    await house.pod_worker("general-1")

    assert (await house.load())["general"]["refused"] == []


async def probed(port: int, path: str) -> int:
    """The status of a probe, as soon as there is an answer."""
    async with asyncio.timeout(4 * SECONDS):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            answer = await reader.read()
            writer.close()
            return int(answer.split()[1])


async def test_the_callers_token_is_read_again_when_its_secret_changes(
    house: ClusterHouse,
) -> None:
    await house.pod_worker("general-1", on_call=echo)
    fresh = house.folder / "fresh"
    fresh.write_text("an0ther")
    fresh.rename(house.folder / "token")
    async with asyncio.timeout(SECONDS):
        while (await house.execute("general", "echo")).status != 401:
            await asyncio.sleep(0.02)
    reply = await house.ask("POST", TARGET, b"{}", Authorization="Bearer an0ther")
    assert reply.status == 200
