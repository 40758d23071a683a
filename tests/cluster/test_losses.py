"""What the kernel and the cluster take away, and what callers are told: on real nodes."""

import json
from collections.abc import Iterator

import pytest
from cluster.kube.cgroups import is_unified
from cluster.kube.client import Cluster
from cluster.kube.places import NODES, Node
from cluster_nodes import cut_off, executors_of, frozen_kubelet, node_of
from cluster_release import Json, Place, Release, read, release
from flows.house import wait_for

pytestmark = pytest.mark.timeout(240)

MIB = 1 << 20
LIMIT = 256 * MIB
SAFE, LOST = NODES
PLACED = json.dumps({"kubernetes.io/hostname": SAFE.name})
"""Router and operator stay on the node that nothing happens to."""
EVICTION = "/api/v1/namespaces/{namespace}/pods/{pod}/eviction"


@pytest.fixture(scope="module")
def installed(own_nodes: Cluster) -> Iterator[Release]:
    settings = [f"{part}.nodeSelector={PLACED}" for part in ("router", "operator")]
    with release(own_nodes, "router.replicas=1", *settings) as made:
        yield made


@pytest.fixture(scope="module")
def service(installed: Release) -> Place:
    return installed.service


# Memory


def test_the_kernel_kills_the_whole_container(installed: Release, service: Place) -> None:
    """The agent in its own container lives on, answers, and keeps what sessions had."""
    installed.make("starved")
    installed.settled("starved", 1)
    (pod,) = installed.workers("starved")
    handle = opened(service, "starved")
    container = executors_of(pod)
    container.offer_first()
    container.leave_room(16 * MIB)

    answer = service.run("starved", "allocate", {"megabytes": 64})

    assert (answer.status, answer.code) == (502, "out_of_memory"), answer.body
    assert (answer.json["cause"], answer.json["outcome"]) == ("container", "unknown")
    assert answer.json["limit_bytes"] == LIMIT
    again = service.run("starved", "sleep", {"seconds": 0}, "queue_timeout=30")
    assert again.status == 200, again.body
    wait_for(lambda: last_end(installed, "starved")["reason"] == "OOMKilled")
    (after,) = installed.workers("starved")
    assert after["metadata"]["name"] == pod["metadata"]["name"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    assert incarnation(opened(service, "starved")) == incarnation(handle)
    assert service.in_session(handle, "count").json == 2
    installed.remove("starved")


@pytest.mark.skipif(is_unified(), reason="version 2 of cgroups kills all of a container")
def test_the_kernel_kills_one_executor(installed: Release, service: Place) -> None:
    """Faster than keeper looks: it can still say that it was memory, and nobody else notices."""
    installed.make("hungry", concurrency=2)
    installed.settled("hungry", 1)
    neighbour = service.sent("hungry", "sleep", {"seconds": 3})
    wait_for(lambda: service.pool("hungry")["busy"] == 1)
    (pod,) = installed.workers("hungry")
    executors_of(pod).leave_room(16 * MIB)

    answer = service.run("hungry", "allocate", {"megabytes": 64})

    assert (answer.status, answer.code) == (502, "out_of_memory"), answer.body
    assert (answer.json["cause"], answer.json["outcome"]) == ("oom", "unknown")
    assert answer.json["limit_bytes"] == LIMIT
    assert read(neighbour).status == 200
    installed.remove("hungry")


# Evictions


def test_a_drained_node_loses_no_call(installed: Release, service: Place) -> None:
    """`kubectl drain`: the running call ends well, its session honestly, the worker moves."""
    installed.make("moving")
    installed.settled("moving", 1)
    (pod,) = installed.workers("moving")
    node = node_of(pod)
    handle = opened(service, "moving")
    call = service.sent("moving", "sleep", {"seconds": 4})
    wait_for(lambda: service.pool("moving")["busy"] == 1)
    pods = ("--pod-selector=pythonpool.dev/pool=moving", "--delete-emptydir-data")

    try:
        installed.cluster.kubectl("drain", node.name, *pods, "--timeout=60s")

        answer = read(call)
        assert (answer.status, answer.fields["pythonpool-worker"]) == (200, pod["metadata"]["name"])
        installed.settled("moving", 1)
        (moved,) = installed.workers("moving")
        assert node_of(moved) != node
    finally:
        installed.cluster.kubectl("uncordon", node.name)
    problem = service.in_session(handle, "count").json
    assert problem["code"] == "session_lost"
    assert problem["cause"] in ("drained", "worker_gone")  # its worker's own word, or the pod's end
    installed.remove("moving")


def test_an_eviction_without_time_is_named(installed: Release, service: Place) -> None:
    installed.make("evicted")
    installed.settled("evicted", 1)
    (pod,) = installed.workers("evicted")
    name = pod["metadata"]["name"]
    call = service.sent("evicted", "sleep", {"seconds": 20})
    wait_for(lambda: service.pool("evicted")["busy"] == 1)

    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name},
        "deleteOptions": {"gracePeriodSeconds": 1},
    }
    path = EVICTION.format(namespace=installed.namespace, pod=name)
    installed.kubectl("create", "--raw", path, "-f", "-", text_in=json.dumps(body))

    answer = read(call)
    assert (answer.status, answer.code) == (502, "worker_crashed"), answer.body
    assert (answer.json["cause"], answer.json["outcome"]) == ("evicted", "unknown")
    assert service.run("evicted", "sleep", {"seconds": 0}, "queue_timeout=30").status == 200
    installed.remove("evicted")


# Nodes


@pytest.fixture
def spread(installed: Release, service: Place) -> Iterator[str]:
    """A pool with a worker on each node; calls may take two minutes."""
    installed.make("spread", replicas=2, timeoutSeconds=120, maxTimeoutSeconds=120)
    installed.settled("spread", 2)
    assert {node_of(pod) for pod in installed.workers("spread")} == {SAFE, LOST}
    yield "spread"
    installed.remove("spread")


def test_a_node_that_is_cut_off(installed: Release, service: Place, spread: str) -> None:
    """Its calls end in seconds, those of others go on; when it is back, so are its sessions."""
    handle = opened_on(installed, service, spread, LOST)
    call = service.send("POST", f"/v1/sessions/{handle}/execute/sleep", {"seconds": 60})
    wait_for(lambda: service.pool(spread)["busy"] == 1)

    with cut_off(LOST):
        answer = read(call)
        elsewhere = service.run(spread, "sleep", {"seconds": 0})

    assert (answer.status, answer.code) == (502, "worker_crashed"), answer.body
    assert (answer.json["cause"], answer.json["outcome"]) == ("link_lost", "unknown")
    assert elsewhere.status == 200
    wait_for(lambda: service.in_session(handle, "count").status == 200, 30)
    assert service.in_session(handle, "count").json > 2


def test_a_node_that_is_lost(installed: Release, service: Place, spread: str) -> None:
    """No kubelet, no reason to end a call. Workers come elsewhere; what then ends is told why."""
    handle = opened_on(installed, service, spread, LOST)
    call = service.send("POST", f"/v1/sessions/{handle}/execute/sleep", {"seconds": 110})
    wait_for(lambda: service.pool(spread)["busy"] == 1)

    with frozen_kubelet(LOST):
        wait_for(lambda: not is_ready(installed.cluster, LOST), 45)
        assert service.pool(spread)["busy"] == 1

        def has_moved() -> bool:
            workers = installed.workers(spread)
            ready = installed.get("pythonpool", spread)["status"]["readyReplicas"]
            return ready == 2 and {node_of(pod) for pod in workers} == {SAFE}

        wait_for(has_moved, 60)
        with cut_off(LOST):
            answer = read(call)
            lost = service.in_session(handle, "count")

    assert (answer.status, answer.code) == (502, "worker_crashed"), answer.body
    assert (answer.json["cause"], answer.json["outcome"]) == ("node_lost", "unknown")
    assert lost.code in ("unavailable", "session_lost")  # until the pod is gone, it might come back
    assert service.run(spread, "sleep", {"seconds": 0}).status == 200
    wait_for(lambda: is_ready(installed.cluster, LOST), 30)


def opened_on(installed: Release, service: Place, pool: str, node: Node) -> str:
    """A session that has counted to one, on the pool's worker on this node."""
    (name,) = [pod["metadata"]["name"] for pod in installed.workers(pool) if node_of(pod) == node]
    handles = (opened(service, pool) for _ in range(8))
    return next(handle for handle in handles if handle.split(".")[1] == name)


def is_ready(cluster: Cluster, node: Node) -> bool:
    """Whether the control plane takes the node for alive."""
    conditions = cluster.get("node", node.name)["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def opened(service: Place, pool: str) -> str:
    """A session that has counted to one."""
    answer = service.ask("POST", "/v1/sessions", {"pool": pool})
    assert answer.status == 201, answer.body
    handle: str = answer.json["session_id"]
    assert service.in_session(handle, "count").json == 1
    return handle


def incarnation(handle: str) -> str:
    """Which life of its worker a session belongs to."""
    return handle.split(".")[2]


def last_end(installed: Release, pool: str) -> Json:
    """How the container `executors` has ended the last time; empty while it has not."""
    (pod,) = installed.workers(pool)
    (status,) = pod["status"]["initContainerStatuses"]
    ended: Json = status["lastState"].get("terminated", {"reason": ""})
    return ended
