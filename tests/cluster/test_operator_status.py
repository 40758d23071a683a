"""What `kubectl get` and `kubectl describe` say of a pool: on a real API server."""

from typing import Any

import pytest
from operator_stage import Json, OperatorProcess, Space

RUNNING = {"running": {"startedAt": "2026-01-31T12:00:00Z"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting …"}}


def unscheduled(message: str) -> Json:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return {"phase": "Pending", "conditions": [condition]}


def container(name: str, state: Json, last: Json | None = None) -> Json:
    return {
        "name": name,
        "image": "mine:1",
        "imageID": "",
        "ready": False,
        "restartCount": 3 if last else 0,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def with_executors(state: Json, last: Json | None = None) -> Json:
    return {"phase": "Pending", "initContainerStatuses": [container("executors", state, last)]}


def with_agent(state: Json, last: Json | None = None) -> Json:
    ready = {"type": "Ready", "status": "False"}
    statuses = [container("agent", state, last)]
    return {"phase": "Running", "conditions": [ready], "containerStatuses": statuses}


CAUSES: list[tuple[str, Json, Json, str]] = [
    (
        "GpuUnavailable",
        {"gpu": {"count": 1}},
        unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu."),
        "no node has a free nvidia.com/gpu: 0/2 nodes are available",
    ),
    (
        "Unschedulable",
        {},
        unscheduled("0/2 nodes are available: 2 Insufficient memory."),
        "2 Insufficient memory",
    ),
    (
        "ImagePullFailed",
        {},
        with_executors({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
        "mine:1 can not be pulled: not found",
    ),
    (
        "ContainerRefused",
        {},
        with_executors(
            {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "k" not found'}}
        ),
        'executors: secret "k" not found',
    ),
    (
        "CrashLooping",
        {},
        with_executors(
            BACK_OFF, {"exitCode": 1, "reason": "Error", "message": "a\nModuleNotFoundError: x\n"}
        ),
        "executors: ModuleNotFoundError: x (exit code 1)",
    ),
    (
        "OutOfMemory",
        {},
        with_executors(BACK_OFF, {"exitCode": 137, "reason": "OOMKilled"}),
        "executors was killed over its memory limit",
    ),
    (
        "WorkerTooOld",
        {},
        with_agent(
            BACK_OFF,
            {
                "exitCode": 1,
                "reason": "Error",
                "message": '{"reason": "WorkerTooOld", "message": "rebuild mine:1 on 0.3"}',
            },
        ),
        "rebuild mine:1 on 0.3",
    ),
    (
        "StartTimedOut",
        {},
        with_agent(RUNNING, {"exitCode": 137, "reason": "Error", "message": "waiting\n"}),
        "not ready within startupSeconds: waiting",
    ),
]


@pytest.mark.parametrize(
    ("reason", "spec", "status", "words"), CAUSES, ids=[cause[0] for cause in CAUSES]
)
def test_a_pool_without_workers_says_why(
    served: OperatorProcess, space: Space, reason: str, spec: Json, status: Json, words: str
) -> None:
    space.make(**spec)
    space.pod(status)

    degraded = space.wait_for("Degraded", reason)

    assert degraded["status"] == "True"
    assert words in degraded["message"]
    assert space.condition("Ready")["reason"] == reason
    assert space.condition("Ready")["status"] == "False"
    assert space.condition("Progressing")["reason"] == "Stalled"


def test_a_quota_is_named(served: OperatorProcess, space: Space) -> None:
    space.make()
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "shop-1-x" is forbidden: exceeded quota: small, requested: cpu=1',
    }
    space.deployment_status(conditions=[failure])

    degraded = space.wait_for("Degraded", "QuotaExceeded")

    assert degraded["message"] == "exceeded quota: small, requested: cpu=1"


def test_an_adapter_of_ones_own_needs_an_image(served: OperatorProcess, space: Space) -> None:
    space.make(adapter="shop:Shop")

    degraded = space.wait_for("Degraded", "ImageMissing")

    assert degraded["message"].startswith(
        'spec.pod.image is missing, must be given for the adapter "shop:Shop"'
    )


def test_a_pools_life(served: OperatorProcess, space: Space) -> None:
    space.make(replicas=2)
    space.wait_for("Progressing", "Replacing")

    space.deployment_status(replicas=2, updatedReplicas=2, readyReplicas=0)
    assert space.wait_for("Progressing", "Starting")["status"] == "True"
    assert space.condition("Ready")["reason"] == "Starting"
    assert space.condition("Degraded")["status"] == "False"

    space.deployment_status(replicas=2, updatedReplicas=2, readyReplicas=1)
    assert space.wait_for("Ready", "WorkersReady")["message"] == "1 of 2 workers are ready"
    since = space.condition("Ready")["lastTransitionTime"]

    space.deployment_status(replicas=2, updatedReplicas=2, readyReplicas=2)
    space.wait_for("Progressing", "Settled")
    assert space.condition("Ready")["lastTransitionTime"] == since
    status = space.pool()["status"]
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)

    space.change(replicas=0)
    space.deployment_status(replicas=0, updatedReplicas=0, readyReplicas=0)
    assert space.wait_for("Ready", "ScaledToZero")["status"] == "False"
    assert space.condition("Degraded")["status"] == "False"


def test_events_tell_what_changed(served: OperatorProcess, space: Space) -> None:
    space.make()
    space.pod(unscheduled("0/2 nodes are available: 2 Insufficient memory."))
    space.wait_for("Degraded", "Unschedulable")

    def events() -> list[tuple[Any, ...]]:
        path = f"/apis/events.k8s.io/v1/namespaces/{space.name}/events"
        found = [each for each in space.api.items(path) if each["regarding"]["name"] == "shop"]
        return [(each["type"], each["reason"], each["regarding"]["uid"]) for each in found]

    expected = [("Warning", "Unschedulable", space.pool()["metadata"]["uid"])]
    space.api.wait(lambda: events() == expected)
