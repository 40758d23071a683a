"""How a pool and its workers stand, as the objects of API.md 2, for cold routes and metrics."""

from typing import Any

from pythonpool.clock import timestamp
from pythonpool_router.pools import ListedWorker, Pool
from pythonpool_router.refusals import SCALED_TO_ZERO
from pythonpool_router.workers import Worker

STATES = ("starting", "ready", "draining", "failed")


def linked(pool: Pool) -> list[Worker]:
    """The workers that have dialled this router."""
    return [worker for worker in pool.workers.values() if worker.is_linked]


def unlinked(pool: Pool) -> list[ListedWorker]:
    """The workers that exist and have not dialled this router (yet)."""
    here = {worker.name for worker in linked(pool)}
    return [worker for worker in pool.listed.values() if worker.name not in here]


def states(pool: Pool) -> dict[str, int]:
    """How many workers are in each state; a ready one that has not dialled yet is starting."""
    counted = dict.fromkeys(STATES, 0)
    for worker in linked(pool):
        counted[worker.state] += 1
    for listed in unlinked(pool):
        counted["starting" if listed.state == "ready" else listed.state] += 1
    return counted


def pool_object(pool: Pool) -> dict[str, Any]:
    """`GET /v1/pools/{pool}`: available + busy = total, in slots of ready workers."""
    slots = pool.slots()
    return {
        "name": pool.name,
        "adapter": pool.spec["adapter"],
        "workers": sum(states(pool).values()),
        "available": slots.available,
        "busy": slots.busy,
        "total": slots.total,
        "queued": pool.queued,
        "sessions": pool.sessions,
        "ready": pool.is_ready,
        "conditions": conditions(pool),
    }


def conditions(pool: Pool) -> list[dict[str, str]]:
    """Ready, Progressing and Degraded, as Kubernetes writes conditions."""
    degraded = pool.reason is not None and pool.cause != SCALED_TO_ZERO
    counted = states(pool)
    waiting = counted["starting"] + counted["draining"]
    return [
        _condition("Ready", pool.is_ready, *_ready_words(pool, counted)),
        _condition(
            "Progressing",
            waiting > 0 or not pool.settled,
            "WorkersChanging" if waiting else "Settled",
            f"{counted['starting']} starting, {counted['draining']} draining",
        ),
        _condition(
            "Degraded",
            degraded,
            "WorkersCanNotStart" if degraded else "AsExpected",
            (pool.reason or "") if degraded else "",
        ),
    ]


def _ready_words(pool: Pool, counted: dict[str, int]) -> tuple[str, str]:
    if pool.is_ready:
        return "WorkersReady", f"{counted['ready']} ready"
    if pool.cause == SCALED_TO_ZERO:
        return "ScaledToZero", "replicas is 0"
    return "NoWorkerReady", pool.reason or f"{counted['starting']} starting"


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict[str, str]:
    status = "True" if holds else "False"
    return {"type": kind, "status": status, "reason": reason, "message": message}


def worker_objects(pool: Pool) -> list[dict[str, Any]]:
    """`GET /v1/pools/{pool}/workers`: those that have dialled, then those that only exist."""
    return [
        *(_linked_object(worker) for worker in linked(pool)),
        *(_listed_object(worker) for worker in unlinked(pool)),
    ]


def _linked_object(worker: Worker) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": worker.name,
        "state": worker.state,
        "slots": worker.slots,
        "busy": worker.busy,
        "sessions": worker.sessions,
        "memory_bytes": worker.memory_bytes,
        "calls": worker.calls,
        "started_at": _time(worker.started_at),
    }
    return shown | ({"pid": worker.pid} if worker.pid else {})


def _listed_object(worker: ListedWorker) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": worker.name,
        "state": "starting" if worker.state == "ready" else worker.state,
        **dict.fromkeys(("slots", "busy", "sessions", "memory_bytes", "calls"), 0),
        "started_at": _time(worker.started_at),
    }
    return shown | ({"pid": worker.pid} if worker.pid else {})


def _time(moment: float | str | None) -> str | None:
    return timestamp(moment) if isinstance(moment, int | float) else moment
