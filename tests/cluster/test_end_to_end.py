"""The whole of it on real nodes: the chart installed, pools applied, calls through the routers."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from cluster.kube.client import Cluster
from cluster.kube.steps import Failed
from cluster_nodes import executors_of
from cluster_release import Json, Place, Release, condition, manifest, read, release
from flows.house import wait_for
from flows.whole import Answer

pytestmark = pytest.mark.timeout(180)

CHILDREN = "deployments,serviceaccounts,configmaps,networkpolicies,poddisruptionbudgets,pods"


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Release]:
    """The chart in a namespace of its own, and its routers Ready."""
    with release(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def service(installed: Release) -> Place:
    """The Service before both routers."""
    return installed.service


@pytest.fixture(scope="module")
def work(installed: Release) -> str:
    """A pool of two workers with two slots each, ready; shared by tests that change no spec."""
    installed.make("work", replicas=2, concurrency=2)
    installed.settled("work", 2)
    return "work"


def test_an_applied_pool_answers(installed: Release, service: Place) -> None:
    installed.make("general", adapter="general", pod={})
    installed.settled("general", 1)

    answer = service.run("general", "echo", {"message": "Hello"})

    assert (answer.status, answer.json["echoed"]) == (200, {"message": "Hello"})
    (pod,) = installed.workers("general")
    assert answer.fields["pythonpool-worker"] == pod["metadata"]["name"]
    assert condition(installed.get("pythonpool", "general"), "Ready")["status"] == "True"


def test_every_router_knows_every_worker(installed: Release, work: str) -> None:
    """Agents dial the routers that a Service names, and stay with each of them."""
    names = {pod["metadata"]["name"] for pod in installed.workers(work)}
    assert len({pod["spec"]["nodeName"] for pod in installed.workers(work)}) == 2

    routers = installed.routers

    assert len(routers) == 2
    for router in routers:
        listed = router.ask("GET", f"/v1/pools/{work}/workers").json["items"]
        assert {worker["name"] for worker in listed if worker["state"] == "ready"} == names
        assert all("pid" not in worker for worker in listed)


def test_a_session_lives_on_through_both_routers(installed: Release, work: str) -> None:
    first, second = installed.routers
    opened = first.ask("POST", "/v1/sessions", {"pool": work})
    assert opened.status == 201, opened.body
    handle = opened.json["session_id"]

    counts = [router.in_session(handle, "count").json for router in (first, second, first, second)]

    assert counts == [1, 2, 3, 4]
    assert second.ask("DELETE", f"/v1/sessions/{handle}").status == 204
    assert first.in_session(handle, "count").code == "session_not_found"


def test_a_session_outlives_its_router(installed: Release, work: str) -> None:
    """A router is taken away with no time to finish; its successor knows the session as well."""
    gone, left = installed.routers
    handle = gone.ask("POST", "/v1/sessions", {"pool": work}).json["session_id"]
    assert gone.in_session(handle, "count").json == 1
    routers = installed.get("pods", "-l", "app.kubernetes.io/component=router")["items"]
    (name,) = [pod["metadata"]["name"] for pod in routers if pod["status"]["podIP"] == gone.host]

    installed.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false")

    assert left.in_session(handle, "count").json == 2

    def is_known_to_all() -> bool:
        routers = installed.routers
        return len(routers) == 2 and {_status(router, handle) for router in routers} == {200}

    wait_for(is_known_to_all, 40)


def test_a_session_ends_honestly_with_its_pod(installed: Release, service: Place) -> None:
    installed.make("leaving")
    installed.settled("leaving", 1)
    opened = service.ask("POST", "/v1/sessions", {"pool": "leaving"}).json
    handle, worker = opened["session_id"], opened["worker"]
    assert service.in_session(handle, "count").json == 1

    installed.kubectl("delete", "pod", worker, "--wait=false")
    installed.settled("leaving", 1)

    # Its worker keeps it for `drainSeconds`, and with it the state.
    def is_over() -> bool:
        answer = service.in_session(handle, "count")
        assert answer.status in (200, 410), answer.body
        return answer.status == 410

    wait_for(is_over, 15)
    problem = service.in_session(handle, "count").json
    assert problem["code"] == "session_lost"
    # As its worker said, while it was there to say it.
    assert problem["cause"] in ("drained", "worker_gone")
    installed.remove("leaving")


def test_a_timeout_kills_and_says_where_the_call_was(service: Place, work: str) -> None:
    answer = service.run(work, "sleep", {"seconds": 30}, "timeout=0.5")

    assert answer.status == 504
    assert answer.json["code"] == "timeout"
    assert "in sleep" in answer.json["stack"]
    assert service.run(work, "sleep", {"seconds": 0}).status == 200


def test_memory_beyond_the_limit_is_named(installed: Release, service: Place, work: str) -> None:
    answer = service.run(work, "allocate", {"megabytes": 400, "seconds": 2})

    assert answer.json["code"] == "out_of_memory", answer.body
    assert (answer.json["cause"], answer.json["limit_bytes"]) == ("memory", 256 << 20)
    assert 64 << 20 < answer.json["peak_bytes"] <= 256 << 20
    restarts = [
        status["restartCount"]
        for pod in installed.workers(work)
        for status in (
            *pod["status"]["initContainerStatuses"],
            *pod["status"]["containerStatuses"],
        )
    ]
    assert set(restarts) == {0}


def test_the_limit_is_that_of_the_manifest(installed: Release, work: str) -> None:
    """Read inside of the running container, on either version of cgroups."""
    pod = installed.workers(work)[0]["metadata"]["name"]
    files = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    command = ("exec", pod, "-c", "executors", "--", "sh", "-c", f"{files} 2>/dev/null || true")

    assert int(installed.kubectl(*command)) == 256 << 20


def test_an_agent_outlives_its_executors(
    installed: Release, service: Place, own_nodes: Cluster
) -> None:
    """The container of the executors is killed: their callers are told, the agent goes on."""
    installed.make("outlived")
    installed.settled("outlived", 1)
    (pod,) = installed.workers("outlived")
    call = service.sent("outlived", "sleep", {"seconds": 20})
    wait_for(lambda: service.pool("outlived")["busy"] == 1)

    executors_of(pod).kill()

    answer = read(call)
    assert (answer.status, answer.json["outcome"]) == (502, "unknown")
    assert service.run("outlived", "sleep", {"seconds": 0}, "queue_timeout=30").status == 200
    (after,) = installed.workers("outlived")
    assert after["metadata"]["name"] == pod["metadata"]["name"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    installed.remove("outlived")


def test_scaling_up_and_down(installed: Release, service: Place) -> None:
    installed.make("scaled")
    installed.settled("scaled", 1)
    (first,) = installed.workers("scaled")

    installed.kubectl("scale", "pythonpool", "scaled", "--replicas=2")
    installed.settled("scaled", 2)
    wait_for(lambda: service.pool("scaled")["total"] == 2)

    names = [pod["metadata"]["name"] for pod in installed.workers("scaled")]
    assert first["metadata"]["name"] in names
    installed.kubectl("scale", "pythonpool", "scaled", "--replicas=0")
    installed.settled("scaled", 0)
    assert condition(installed.get("pythonpool", "scaled"), "Ready")["reason"] == "ScaledToZero"

    # Until it has heard that it is to end, the last worker takes calls.
    def last() -> Answer:
        return service.run("scaled", "sleep", {"seconds": 0})

    wait_for(lambda: last().status != 200)
    problem = last().json
    assert (problem["code"], problem["cause"]) == ("unavailable", "scaled_to_zero")
    installed.remove("scaled")


def test_a_live_field_reaches_workers_without_a_rollout(installed: Release, service: Place) -> None:
    installed.make("live")
    installed.settled("live", 1)
    before = [pod["metadata"]["name"] for pod in installed.workers("live")]

    installed.change("live", timeoutSeconds=1)

    def is_timed_out() -> bool:
        return service.run("live", "sleep", {"seconds": 1.5}).status == 504

    wait_for(is_timed_out)
    installed.settled("live", 1)
    assert [pod["metadata"]["name"] for pod in installed.workers("live")] == before
    assert installed.get("deployment", "live")["metadata"]["generation"] == 1
    installed.remove("live")


def test_a_rollout_loses_no_running_call(installed: Release, service: Place) -> None:
    installed.make("rolled")
    installed.settled("rolled", 1)
    (before,) = installed.workers("rolled")
    call = service.sent("rolled", "sleep", {"seconds": 8})
    wait_for(lambda: service.pool("rolled")["busy"] == 1)

    installed.change("rolled", env=[{"name": "COLOUR", "value": "blue"}])

    def is_replaced() -> bool:
        answer = service.run("rolled", "sleep", {"seconds": 0})
        assert answer.status == 200, answer.body
        worker: str = before["metadata"]["name"]
        return answer.fields["pythonpool-worker"] != worker

    wait_for(is_replaced, 20)
    answer = read(call)
    assert answer.status == 200, answer.body
    assert answer.fields["pythonpool-worker"] == before["metadata"]["name"]
    installed.settled("rolled", 1)
    installed.remove("rolled")


def test_a_deleted_pod_finishes_its_call(installed: Release, service: Place, work: str) -> None:
    call = service.sent(work, "sleep", {"seconds": 4})

    def busy() -> list[str]:
        shown = service.ask("GET", f"/v1/pools/{work}/workers").json["items"]
        return [worker["name"] for worker in shown if worker["busy"]]

    wait_for(busy)
    (worker,) = busy()

    installed.kubectl("delete", "pod", worker, "--wait=false")

    answer = read(call)
    assert (answer.status, answer.fields["pythonpool-worker"]) == (200, worker)
    installed.settled(work, 2)


def test_calls_go_on_without_the_operator(installed: Release, service: Place, work: str) -> None:
    scale = ("scale", "deployment", "pythonpool-operator")
    operators = ("pods", "-l", "app.kubernetes.io/component=operator")
    installed.kubectl(*scale, "--replicas=0")
    wait_for(lambda: not installed.get(*operators)["items"], 40)

    assert service.run(work, "sleep", {"seconds": 0}).status == 200

    installed.change(work, replicas=3)
    installed.kubectl(*scale, "--replicas=1")
    installed.settled(work, 3)
    installed.change(work, replicas=2)
    installed.settled(work, 2)


def test_a_gpu_pool_says_what_it_waits_for_and_runs_when_it_comes(
    installed: Release, service: Place, no_gpus: Cluster
) -> None:
    installed.make("graphics", gpu={"count": 1})

    def degraded() -> Json:
        return condition(installed.get("pythonpool", "graphics"), "Degraded")

    wait_for(lambda: degraded().get("reason") == "GpuUnavailable", 20)
    assert degraded()["message"].startswith("no node has a free nvidia.com/gpu: ")
    assert [pod["status"]["phase"] for pod in installed.workers("graphics")] == ["Pending"]
    problem = service.run("graphics", "sleep", {"seconds": 0}, "queue_timeout=0").json
    assert problem["code"] == "unavailable"
    assert "nvidia.com/gpu" in problem["detail"]

    node = no_gpus.get("nodes")["items"][0]["metadata"]["name"]
    no_gpus.advertise_gpus(node, 1)
    installed.settled("graphics", 1)
    (pod,) = installed.workers("graphics")
    assert pod["spec"]["nodeName"] == node
    assert service.run("graphics", "sleep", {"seconds": 0}).status == 200
    installed.remove("graphics")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"timeoutSeconds": 5000}, r"timeoutSeconds.* 5000.* maxTimeoutSeconds \(60\)"),
        ({"replicas": 1001}, "spec.replicas"),
        ({"concurency": 2}, 'unknown field "spec.concurency"'),
    ],
)
def test_a_wrong_pool_changes_nothing(
    installed: Release, service: Place, work: str, spec: Json, words: str
) -> None:
    before = installed.get("pythonpool", work)["metadata"]["generation"]
    text = json.dumps(manifest(work, **spec))

    with pytest.raises(Failed, match=words):
        installed.kubectl("apply", "-f", "-", text_in=text)

    assert installed.get("pythonpool", work)["metadata"]["generation"] == before
    assert service.run(work, "sleep", {"seconds": 0}).status == 200


def test_a_deleted_pool_leaves_nothing(installed: Release, service: Place) -> None:
    installed.make("short-lived")
    installed.settled("short-lived", 1)
    assert "finalizers" not in installed.get("pythonpool", "short-lived")["metadata"]

    installed.kubectl("delete", "pythonpool", "short-lived", "--timeout=10s")

    def left() -> list[Any]:
        found = installed.get(CHILDREN, "-l", "pythonpool.dev/pool=short-lived")
        return list(found["items"])

    wait_for(lambda: not left(), 40)
    wait_for(partial(_is_unknown, service, "short-lived"))


def _status(router: Place, handle: str) -> int:
    """Of a look at a session; 0 while the router does not answer."""
    try:
        return router.ask("GET", f"/v1/sessions/{handle}").status
    except OSError:
        return 0


def _is_unknown(service: Place, pool: str) -> bool:
    return service.run(pool, "sleep", {"seconds": 0}).code == "pool_not_found"
