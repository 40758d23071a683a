"""The errors that the router itself answers a call with, each with its way out. Pure."""

from functools import partial

from pythonpool.errors import (
    PoolNotFound,
    PythonPoolError,
    ResourceExhausted,
    SessionLost,
    Unavailable,
    WorkerCrashed,
)
from pythonpool.names import SessionHandle
from pythonpool_router.call import Call
from pythonpool_router.pools import ListedWorker, Pool, Pools
from pythonpool_router.workers import Worker

SCALED_TO_ZERO = "scaled_to_zero"
_STARTING_SECONDS = 1.0
_DEGRADED_SECONDS = 5.0


def unavailable_now(pool: Pool, timeout: float) -> Unavailable | None:
    """The error when no worker is there and none could come within `timeout` seconds."""
    if pool.is_ready:
        return None
    if (pool.cause or pool.reason) and not any(
        map(partial(_is_coming, pool), pool.listed.values())
    ):
        return _unavailable(pool, pool.cause or "unknown", _DEGRADED_SECONDS)
    is_empty = all(worker.state == "draining" for worker in pool.listed.values())
    if is_empty and pool.settled and not pool.spec.get("replicas", 1):
        return _unavailable(pool, SCALED_TO_ZERO, _DEGRADED_SECONDS)
    if timeout <= 0:
        return _unavailable(pool, "starting", _STARTING_SECONDS)
    return None


def _is_coming(pool: Pool, listed: ListedWorker) -> bool:
    """Whether a worker serves soon: it has to dial, or has served and its executors start again."""
    if listed.state == "ready":
        return True
    worker = pool.workers.get(listed.name)
    if worker is None or not worker.is_linked:
        return False
    return worker.state == listed.state == "starting"


def router_ends(pool: Pool) -> Unavailable:
    """What a call is told that still waits when its router ends."""
    wait = pool.promise.jittered(_DEGRADED_SECONDS)
    return Unavailable(
        f'the router of pool "{pool.name}" ends and takes no more calls; retry after {wait:.1f} s',
        cause="shutting_down",
        retry_after_ms=round(wait * 1000),
    )


def pool_gone(pool: Pool) -> PoolNotFound:
    """What a call is told that still waits when its pool is deleted."""
    return PoolNotFound(f'pool "{pool.name}" was deleted')


def _unavailable(pool: Pool, cause: str, seconds: float) -> Unavailable:
    reason = f": {pool.reason}" if pool.reason else ""
    wait = pool.promise.jittered(seconds)
    return Unavailable(
        f'pool "{pool.name}" has no ready worker ({cause}{reason}); retry after {wait:.1f} s',
        cause=cause,
        retry_after_ms=round(wait * 1000),
    )


def at_capacity(pool: Pool, cause: str, now: float) -> ResourceExhausted:
    """429 with the promise of the next place."""
    pool.settle()
    slots = pool.slots()
    coming = sum(
        pool.spec.get("concurrency", 1)
        for worker in pool.listed.values()
        if worker.state == "starting"
    )
    waiting = pool.queued + pool.share.others
    wait = pool.promise.next_place(
        now, waiting, slots.total + coming, pool.queue_length, pool.share.refusing
    )
    why = {
        "queue_full": f"the line is full ({waiting} of {pool.queue_length})",
        "queue_timeout": f"no slot came free in time, {waiting} calls wait",
        "session_busy": "another call of the session runs",
        "memory": "its workers are short of memory",
        "sessions_full": "its workers hold as many sessions as they may",
    }[cause]
    return ResourceExhausted(
        f'pool "{pool.name}" is at capacity ({slots.busy} of {slots.total} slots busy): {why}; '
        f"retry after {wait:.1f} s",
        cause=cause,
        retry_after_ms=max(round(wait * 1000), 1),
    )


def waited_too_long(call: Call, now: float) -> PythonPoolError:
    """What a call is told whose queue timeout has passed."""
    pool = call.pool
    if call.session is not None:
        worker = pool.workers.get(call.session.worker)
        if worker is None or not worker.is_linked:
            return Unavailable(
                f'worker "{call.session.worker}" of the session has no link to this router',
                cause="link_lost",
                retry_after_ms=round(pool.promise.jittered(_STARTING_SECONDS) * 1000),
            )
        is_busy = worker.waiting.is_behind(call)
        return at_capacity(pool, "session_busy" if is_busy else "queue_timeout", now)
    if not pool.is_ready:
        return _unavailable(pool, pool.cause or "starting", _STARTING_SECONDS)
    return at_capacity(pool, "queue_timeout", now)


def worker_gone(session: SessionHandle) -> SessionLost:
    """The handle names a worker, or a life of it, that is no more."""
    return SessionLost(
        f'worker "{session.worker}" of the session is gone; open a new session', cause="worker_gone"
    )


def link_lost(worker: Worker) -> WorkerCrashed:
    """The answer to every call that was sent over a link that broke."""
    return WorkerCrashed(
        f'the link to worker "{worker.name}" broke; the command may have run',
        cause="link_lost",
        worker=worker.name,
    )


def suggestion(call: Call, pools: Pools) -> str | None:
    """After a timeout: the ready pool with the next longer time to run, if there is one.

    Pools that offer the command come first.
    """
    longer = [
        pool
        for pool in pools.by_name.values()
        if pool.timeout_seconds > call.pool.timeout_seconds and pool.is_ready
    ]
    if not longer:
        return None
    best = min(
        longer,
        key=lambda pool: (call.command not in pool.commands, pool.timeout_seconds, pool.name),
    )
    return f"Consider using the {best.name} pool for long operations"
