"""What a pod says of the worker in it: its state, and why it died. Pure.

A pod's object in, plain values out; nothing is kept that does not matter here.
"""

from dataclasses import dataclass
from typing import Any

from pythonpool import names
from pythonpool.errors import OutOfMemory, PythonPoolError, WorkerCrashed
from pythonpool.spec.quantities import Memory

Json = dict[str, Any]

POOL_LABEL = f"{names.GROUP}/pool"
COMPONENT_LABEL = "app.kubernetes.io/component"
SELECTOR = "app.kubernetes.io/name=pythonpool"
"""Workers, routers and operator of a namespace."""

_DISRUPTIONS = {
    "PreemptionByScheduler": "preempted",
    "DeletionByTaintManager": "node_lost",
    "DeletionByPodGC": "node_lost",
    "EvictionByEvictionAPI": "evicted",
    "TerminationByKubelet": "evicted",
}
_REASONS = {
    "Evicted": "evicted",
    "Preempting": "preempted",
    "NodeLost": "node_lost",
    # The kubelet's words when its node is shut down, as spot instances are.
    "Terminated": "preempted",
    "NodeShutdown": "preempted",
}


@dataclass(frozen=True, slots=True)
class Death:
    """Why a worker, or its executors, died.

    Attributes:
        cause: as API.md 2.1 has it; `container` goes with out_of_memory.
        key: one death; another of the same pod has another.
        is_of_pod: the whole pod ends; else only a container did, and starts again.
        limit_bytes: of the memory, when that was the reason.
        message: Kubernetes' own words.
    """

    cause: str
    key: str
    is_of_pod: bool
    limit_bytes: int | None = None
    message: str = ""

    def error(self, worker: str) -> PythonPoolError:
        """What the callers are told whose calls it ended."""
        if self.limit_bytes is not None:
            return OutOfMemory(
                f'the executors of worker "{worker}" were killed over their memory limit; '
                "the command may have run",
                cause=self.cause,
                worker=worker,
                limit_bytes=self.limit_bytes,
            )
        said = f": {self.message}" if self.message else ""
        return WorkerCrashed(
            f'worker "{worker}" was lost ({self.cause}{said}); the command may have run',
            cause=self.cause,
            worker=worker,
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of this namespace.

    Attributes:
        pool: whose worker it is; empty: another pod.
        component: `worker`, `router` or `operator`.
        account: its service account.
        state: as workers have it, or `gone`: its processes are no more, or never were.
        address: its IP; empty: none yet.
    """

    name: str
    uid: str
    pool: str
    component: str
    account: str
    state: str
    address: str
    started_at: str | None
    death: Death | None


def read_pod(pod: Json) -> Pod:
    """The pod as far as routers care."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    labels = meta.get("labels") or {}
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        pool=labels.get(POOL_LABEL, ""),
        component=labels.get(COMPONENT_LABEL, ""),
        account=spec.get("serviceAccountName", ""),
        state=_state(meta, status),
        address=status.get("podIP", ""),
        started_at=status.get("startTime"),
        death=_death_of_pod(status) or _out_of_memory(spec, status),
    )


def _state(meta: Json, status: Json) -> str:
    if status.get("phase") in ("Failed", "Succeeded"):
        return "gone"
    if "deletionTimestamp" in meta:
        return "draining"
    if _condition(status, "Ready").get("status") == "True":
        return "ready"
    waiting = [(each.get("state") or {}).get("waiting") or {} for each in _containers(status)]
    if any(each.get("reason") == "CrashLoopBackOff" for each in waiting):
        return "failed"
    return "starting"


def _death_of_pod(status: Json) -> Death | None:
    message = str(status.get("message") or "")
    cause = _REASONS.get(status.get("reason", ""))
    target = _condition(status, "DisruptionTarget")
    if cause is None and target.get("status") == "True":
        cause = _DISRUPTIONS.get(target.get("reason", ""))
        message = str(target.get("message") or "")
    return Death(cause, cause, is_of_pod=True, message=message) if cause else None


def _out_of_memory(spec: Json, status: Json) -> Death | None:
    """Of the container `executors`: that of now, or the one before it."""
    for container in _containers(status):
        if container.get("name") != "executors":
            continue
        for when in ("state", "lastState"):
            ended = (container.get(when) or {}).get("terminated") or {}
            if ended.get("reason") == "OOMKilled":
                key = f"{ended.get('containerID', '')} {ended.get('finishedAt', '')}"
                limit = _limit_bytes(spec)
                return Death("container", key, is_of_pod=False, limit_bytes=limit)
    return None


def _limit_bytes(spec: Json) -> int:
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if container.get("name") == "executors":
            limit = (container.get("resources") or {}).get("limits", {}).get("memory")
            return Memory.parse(str(limit)).bytes if limit else 0
    return 0


def _containers(status: Json) -> list[Json]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _condition(status: Json, kind: str) -> Json:
    for condition in status.get("conditions") or ():
        if condition["type"] == kind:
            return dict(condition)
    return {}
