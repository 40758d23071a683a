"""The status of a pool: numbers and the conditions Ready, Progressing, Degraded. Pure."""

from dataclasses import dataclass

from pythonpool_operator.causes import Cause
from pythonpool_operator.kinds import POOL, Json
from pythonpool_operator.manifests import selector
from pythonpool_operator.replicas import Size


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a pool, counted.

    Attributes:
        desired: that there should be.
        total: that there are.
        ready: that take calls.
        updated: that are made from the spec as it is.
        is_current: the Deployment's controller has seen its newest form.
        replacing: that are to be replaced, each with a new one beside it for a while.
    """

    desired: int
    total: int
    ready: int
    updated: int
    is_current: bool
    replacing: int = 0


def count_workers(
    desired: int, deployment: Json | None, size: Size | None = None, refused: int = 0
) -> Workers:
    """Count by the Deployment's own status.

    Args:
        desired: of the spec.
        size: how many there are to be now. The pod that comes beside one that is to be replaced is
            not counted, so that the numbers stand still for those who scale by them.
        refused: workers that look ready and that no router understands.
    """
    status = (deployment or {}).get("status") or {}
    generation = (deployment or {}).get("metadata", {}).get("generation", 0)
    total, ready = status.get("replicas", 0), max(status.get("readyReplicas", 0) - refused, 0)
    if size and size.has_spare and total == desired + 1:
        total, ready = desired, min(ready, desired)
    return Workers(
        desired=desired,
        total=total,
        ready=ready,
        updated=status.get("updatedReplicas", 0),
        replacing=size.replacing if size else 0,
        is_current=deployment is not None and status.get("observedGeneration", 0) >= generation,
    )


def status_of(pool: Json, workers: Workers, cause: Cause | None, now: str) -> Json:
    """The pool's `status`.

    Args:
        pool: the live PythonPool; conditions that stay keep their lastTransitionTime.
        workers: its workers.
        cause: why some are missing, if it is known.
        now: RFC 3339, for conditions that change.
    """
    generation = pool["metadata"].get("generation", 0)
    before = {each["type"]: each for each in (pool.get("status") or {}).get("conditions") or ()}
    made = [_ready(workers, cause), _progressing(workers, cause), _degraded(workers, cause)]
    for condition in made:
        old = before.get(condition["type"], {})
        stays = old.get("status") == condition["status"] and "lastTransitionTime" in old
        condition["observedGeneration"] = generation
        condition["lastTransitionTime"] = old["lastTransitionTime"] if stays else now
    return {
        "observedGeneration": generation,
        "replicas": workers.total,
        "readyReplicas": workers.ready,
        "selector": selector(pool["metadata"]["name"]),
        "conditions": made,
    }


def status_manifest(pool: Json, status: Json) -> Json:
    """What is applied to the status subresource; the uid refuses a namesake made meanwhile."""
    meta = pool["metadata"]
    return {
        "apiVersion": POOL.api_version,
        "kind": POOL.kind,
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "status": status,
    }


def _condition(kind: str, is_true: bool, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": message,
    }


def _ready(workers: Workers, cause: Cause | None) -> Json:
    if workers.ready > 0:
        return _condition("Ready", True, "WorkersReady", _counted(workers))
    if workers.desired == 0 and not (cause and cause.is_final):
        return _condition("Ready", False, "ScaledToZero", "replicas is 0")
    if cause:
        return _condition("Ready", False, cause.reason, cause.message)
    return _condition("Ready", False, "Starting", _counted(workers))


def _progressing(workers: Workers, cause: Cause | None) -> Json:
    if _is_short(workers, cause) and cause:
        return _condition("Progressing", False, "Stalled", cause.message)
    if workers.replacing:
        return _condition(
            "Progressing", True, "Recycling", f"{workers.replacing} to be replaced by a new worker"
        )
    if not workers.is_current or workers.updated < min(workers.total, workers.desired):
        return _condition(
            "Progressing", True, "Replacing", f"{workers.updated} of {workers.desired} replaced"
        )
    if workers.ready < workers.desired:
        return _condition("Progressing", True, "Starting", _counted(workers))
    if workers.total > workers.desired:
        return _condition(
            "Progressing", True, "Draining", f"{workers.total - workers.desired} still to end"
        )
    return _condition("Progressing", False, "Settled", _counted(workers))


def _degraded(workers: Workers, cause: Cause | None) -> Json:
    if _is_short(workers, cause) and cause:
        return _condition("Degraded", True, cause.reason, cause.message)
    return _condition("Degraded", False, "AsExpected", "")


def _is_short(workers: Workers, cause: Cause | None) -> bool:
    """Whether a known cause keeps workers away; a rollout that is stuck counts too."""
    if cause is None or cause.is_final or workers.desired == 0:
        return cause is not None and cause.is_final
    return workers.ready < workers.desired or workers.updated < workers.desired


def _counted(workers: Workers) -> str:
    return f"{workers.ready} of {workers.desired} workers are ready"
