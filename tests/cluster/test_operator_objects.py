"""What the operator makes of a PythonPool, and that it stays so: on a real API server."""

from collections.abc import Callable
from typing import Any

import pytest
from operator_stage import POOLS, OperatorProcess, Refused, Space

KINDS = ("deployments", "serviceaccounts", "configmaps", "poddisruptionbudgets", "networkpolicies")


def test_a_pool_becomes_five_objects(served: OperatorProcess, space: Space) -> None:
    space.make(replicas=3)
    pool = space.settled()

    made = [space.api.get(space.path(kind)) for kind in KINDS]

    assert space.deployment()["spec"]["replicas"] == 3
    owners = {each["metadata"]["ownerReferences"][0]["uid"] for each in made}
    assert owners == {pool["metadata"]["uid"]}
    assert "finalizers" not in pool["metadata"]
    assert "annotations" not in pool["metadata"]


def test_pods_are_taken_where_restricted_is_enforced(served: OperatorProcess, space: Space) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    space.api.ask("PATCH", f"/api/v1/namespaces/{space.name}", {"metadata": {"labels": label}})
    space.make(gpu={"count": 2}, resources={"memory": "1024Mi", "cpu": "1.5"})

    name = space.pod({"phase": "Pending"})

    pod = space.api.get(f"/api/v1/namespaces/{space.name}/pods/{name}")
    executors = pod["spec"]["initContainers"][0]
    limits = {"memory": "1Gi", "nvidia.com/gpu": "2"}
    assert executors["resources"] == {"limits": limits, "requests": limits | {"cpu": "1500m"}}
    assert pod["status"]["qosClass"] == "Burstable"


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 5},
        {"queue": {"maxLength": 7}},
        {"timeoutSeconds": 77},
        {"onDisconnect": "Finish"},
        {"operations": ["sell_*"]},
        {"results": {"maxBytes": "1Mi"}},
        {"recycle": {"maxCalls": 9}},
        {"sessions": {"ttlSeconds": 9, "maxTtlSeconds": 99, "maxPerWorker": 3}},
        {"local": {"replicas": 9}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_reaches_running_workers_changes_no_pod(
    served: OperatorProcess, space: Space, change: dict[str, Any]
) -> None:
    space.make()
    before = space.deployment()["spec"]["template"]

    space.change(**change)
    space.settled()

    assert space.deployment()["spec"]["template"] == before


@pytest.mark.parametrize(
    "change",
    [
        {"concurrency": 2},
        {"maxTimeoutSeconds": 90},
        {"resources": {"memory": "1Gi"}},
        {"healthCheck": {"periodSeconds": 9}},
        {"sessions": {"drainSeconds": 9}},
        {"egress": [{"internet": True}]},
        {"env": [{"name": "A", "value": "b"}]},
        {"pod": {"image": "mine:2"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_else_replaces_workers(
    served: OperatorProcess, space: Space, change: dict[str, Any]
) -> None:
    space.make()
    before = space.deployment()["spec"]["template"]

    space.change(**change)
    space.settled()

    assert space.deployment()["spec"]["template"] != before


def test_the_scale_subresource_sets_the_number(served: OperatorProcess, space: Space) -> None:
    space.make()
    space.deployment()

    path = f"{POOLS.format(space.name)}/shop/scale"
    space.api.ask("PATCH", path, {"spec": {"replicas": 4}})

    space.api.wait(lambda: space.deployment()["spec"]["replicas"] == 4)
    space.deployment_status(replicas=4, readyReplicas=4, updatedReplicas=4)
    space.wait_for("Progressing", "Settled")
    scale = space.api.get(path)
    assert scale["status"] == {"replicas": 4, "selector": "pythonpool.dev/pool=shop"}


def test_drift_is_repaired(served: OperatorProcess, space: Space) -> None:
    space.make(replicas=2)
    space.settled()
    path = space.path("deployments")

    space.api.ask("PATCH", path, {"spec": {"replicas": 7, "minReadySeconds": 3}})

    space.api.wait(lambda: space.deployment()["spec"]["replicas"] == 2)
    assert space.deployment()["spec"]["minReadySeconds"] == 3, "a foreign field stays"


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_deleted_is_made_again(served: OperatorProcess, space: Space, kind: str) -> None:
    space.make()
    space.settled()
    uid = space.api.get(space.path(kind))["metadata"]["uid"]

    space.api.ask("DELETE", space.path(kind))

    again = space.api.wait(lambda: space.api.find(space.path(kind)))
    assert again["metadata"]["uid"] != uid


def test_living_pods_keep_the_file_they_were_made_with(
    served: OperatorProcess, space: Space
) -> None:
    """A container that starts again during a rollout must not read the next pool's settings."""
    space.make()
    name = space.pod({"phase": "Running"})
    (old,) = space.api.get(space.path("configmaps"))["data"]

    space.change(concurrency=3)
    space.settled()
    keys = set(space.api.get(space.path("configmaps"))["data"])
    assert old in keys
    assert len(keys) == 2

    space.api.ask("DELETE", f"/api/v1/namespaces/{space.name}/pods/{name}?gracePeriodSeconds=0")
    space.api.wait(lambda: set(space.api.get(space.path("configmaps"))["data"]) == keys - {old})


def test_a_strangers_object_is_never_taken_over(served: OperatorProcess, space: Space) -> None:
    path = f"/apis/policy/v1/namespaces/{space.name}/poddisruptionbudgets"
    body = {
        "metadata": {"name": "shop"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "theirs"}}},
    }
    theirs = space.api.ask("POST", path, body)

    space.make()

    degraded = space.wait_for("Degraded", "NameTaken")
    assert degraded["status"] == "True"
    assert "PodDisruptionBudget shop is not of this pool" in degraded["message"]
    assert space.condition("Ready")["reason"] == "NameTaken"
    assert space.api.find(space.path("deployments")) is None
    assert space.api.get(f"{path}/shop") == theirs


def test_objects_that_a_deleted_pool_left_are_taken_over(
    served: OperatorProcess, space: Space
) -> None:
    """`kubectl delete --cascade=orphan`, and the same pool again: no worker is lost."""
    space.make()
    space.settled()
    before = space.deployment()["metadata"]["uid"]
    path = f"{POOLS.format(space.name)}/shop"
    looked = served.looks()
    space.api.ask("DELETE", f"{path}?propagationPolicy=Orphan")
    space.api.wait(lambda: served.looks() > looked)
    # What the garbage collector does; there is none here.
    for kind in KINDS:
        space.api.ask("PATCH", space.path(kind), {"metadata": {"ownerReferences": None}})
    space.api.ask("PATCH", path, {"metadata": {"finalizers": None}})

    space.make(replicas=2)

    space.api.wait(lambda: space.deployment()["spec"]["replicas"] == 2)
    assert space.deployment()["metadata"]["uid"] == before


def test_a_namesake_waits_until_the_old_objects_are_gone(
    served: OperatorProcess, space: Space
) -> None:
    space.make()
    space.settled()
    path = f"{POOLS.format(space.name)}/shop"
    space.api.ask("DELETE", f"{path}?propagationPolicy=Background")
    space.api.wait(lambda: space.api.find(path) is None)

    # There is no garbage collector here: the test is it.
    new = space.make()
    for kind in KINDS:
        space.api.ask("DELETE", space.path(kind))

    def owned_by_the_new() -> bool:
        live = space.api.find(space.path("deployments"))
        owner = live["metadata"]["ownerReferences"][0]["uid"] if live else ""
        return bool(owner == new["metadata"]["uid"])

    space.api.wait(owned_by_the_new)


def test_what_kubernetes_refuses_is_said_in_its_words(
    served: OperatorProcess, space: Space
) -> None:
    space.make(pod={"volumeMounts": [{"name": "nowhere", "mountPath": "/data"}]})

    degraded = space.wait_for("Degraded", "Refused")

    assert "Deployment shop" in degraded["message"]
    assert 'volumeMounts[3].name: Not found: "nowhere"' in degraded["message"]


def test_two_namespaces_do_not_meet(
    served: OperatorProcess, space: Space, spaces: Callable[[str], Space]
) -> None:
    other = spaces("b")
    space.make(replicas=1)
    other.make(replicas=2)

    assert space.deployment()["spec"]["replicas"] == 1
    assert other.deployment()["spec"]["replicas"] == 2


def test_wrong_pools_never_reach_the_operator(space: Space) -> None:
    with pytest.raises(Refused, match="timeoutSeconds is 9, must be at most maxTimeoutSeconds"):
        space.make(timeoutSeconds=9, maxTimeoutSeconds=5)
