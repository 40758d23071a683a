"""The chart's life on real nodes: its three pools, an upgrade under calls, back, and away."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from cluster.kube.client import Cluster
from cluster.kube.images import IMAGES
from cluster_black_box import house_of, unchanged
from cluster_release import Place, Release, helm, install, release
from flows import test_mission as mission
from flows.house import wait_for
from flows.whole import Asker

from pythonpool import Client

pytestmark = pytest.mark.timeout(400)

globals().update(
    unchanged(
        mission,
        test_pool_initialization="it counts the cores of this machine",
        test_worker_failure_recovery="it kills a process of this machine",
        test_health_check_operation="it reads the log of a router of this machine",
    )
)

GIB = 1 << 30
LIMITS = {"general": GIB // 4, "optimizer": GIB, "neural": GIB}
NEURAL = next(image.reference for image in IMAGES if image.name == "worker-neural")
"""Without a GPU's libraries; the node's GPUs are promises."""
# Smaller and fewer than the chart's, whose other values stay.
THREE_POOLS = "pools=" + json.dumps(
    {
        "general": {"replicas": 1, "resources": {"memory": "256Mi"}},
        "optimizer": {"replicas": 1, "resources": {"memory": "1Gi"}},
        "neural": {
            "replicas": 1,
            "resources": {"memory": "1Gi"},
            "pod": {"image": NEURAL},
        },
    }
)


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Release]:
    """The chart with its three pools, made small, and ready."""
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    cluster.advertise_gpus(node, 1)
    with release(cluster, THREE_POOLS) as made:
        for name in LIMITS:
            made.settled(name, 1, 90)
        yield made
    cluster.advertise_gpus(node, 0)


@pytest.fixture
def client(installed: Release) -> Iterator[Client]:
    """A client of the Service."""
    with Client(installed.url, token=installed.token) as client:
        yield client


@pytest.fixture
def asker(installed: Release) -> Asker:
    """Asks the Service over plain HTTP."""
    return Asker(house_of(installed))  # type: ignore[arg-type]  # it takes url and token alone


@pytest.mark.parametrize("pool", list(LIMITS))
def test_each_has_its_limit(installed: Release, pool: str) -> None:
    """As the running container's cgroup says, in either version."""
    (pod,) = installed.workers(pool)
    files = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    shell = ("--", "sh", "-c", f"{files} 2>/dev/null || true")
    said = installed.kubectl("exec", pod["metadata"]["name"], "-c", "executors", *shell)

    assert int(said) == LIMITS[pool]


def test_helm_test_passes(installed: Release) -> None:
    assert "Succeeded" in helm(installed, "test", "pythonpool", "--timeout", "60s")


def test_an_upgrade_and_back_lose_no_call(installed: Release) -> None:
    """Routers are replaced twice under calls; the callers' token stays."""
    token, service = installed.token, installed.service
    workers = [pod["metadata"]["name"] for pod in installed.workers("general")]
    routers = {router.host for router in installed.routers}
    done = Event()
    with ThreadPoolExecutor(1) as threads:
        calls = threads.submit(_call_until, done, service)
        try:
            install(
                installed,
                THREE_POOLS,
                'router.resources={"requests": {"cpu": "50m"}}',
                verb="upgrade",
            )
            assert not routers & {router.host for router in installed.routers}
            helm(installed, "rollback", "pythonpool", "1", "--wait", "--timeout", "180s")
        finally:
            done.set()
        statuses = calls.result()

    assert set(statuses) == {200}
    assert installed.token == token
    assert [pod["metadata"]["name"] for pod in installed.workers("general")] == workers


def test_it_goes_without_a_trace(installed: Release, cluster: Cluster) -> None:
    helm(installed, "uninstall", "pythonpool", "--wait", "--timeout", "60s")

    kinds = "pythonpools,deployments,pods,secrets,serviceaccounts,roles,rolebindings,services"
    more = "networkpolicies,poddisruptionbudgets,configmaps"
    label = ("-l", "app.kubernetes.io/name=pythonpool")
    wait_for(lambda: not installed.get(f"{kinds},{more}", *label)["items"], 60)
    bound = cluster.get("clusterroles,clusterrolebindings", *label)["items"]
    assert not [each for each in bound if installed.namespace in json.dumps(each)]


def _call_until(done: Event, service: Place) -> list[int]:
    statuses = []
    while not done.wait(0.05):
        statuses.append(service.run("general", "ping").status)
    return statuses
