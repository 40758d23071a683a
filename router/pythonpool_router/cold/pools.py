"""Pools, their commands and their workers."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from pythonpool.errors import PythonPoolError, Unavailable, WorkerCrashed
from pythonpool_router import refusals
from pythonpool_router.cold.answers import answered, caller_of, json, no_query, router_of
from pythonpool_router.pools import Pool
from pythonpool_router.sessions import POLL_SECONDS
from pythonpool_router.standing import pool_object, worker_objects

MAX_WAIT_SECONDS = 10.0


def _pool(request: Request, action: str) -> Pool:
    router = router_of(request)
    name = request.path_params["pool"]
    router.access.permit(caller_of(request), action, name)
    return router.pools.get(name)


@answered
async def index(request: Request) -> Response:
    """GET /v1/pools."""
    no_query(request)
    router = router_of(request)
    router.access.permit(caller_of(request), "read", "")
    return json({"items": [pool_object(pool) for pool in router.pools.by_name.values()]})


@answered
async def show(request: Request) -> Response:
    """GET /v1/pools/{pool}."""
    no_query(request)
    return json(pool_object(_pool(request, "read")))


@answered
async def commands(request: Request) -> Response:
    """GET /v1/pools/{pool}/commands: the catalogue of the pool's adapter."""
    no_query(request)
    pool = _pool(request, "read")
    await _until_known(pool)
    return json({"items": [_without_octets(row) for row in pool.commands.values()]})


async def _until_known(pool: Pool) -> None:
    """Wait, as a call of the pool would, for a worker that says what it offers.

    Raises:
        Unavailable: none comes in time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + min(pool.queue_timeout_seconds, MAX_WAIT_SECONDS)
    while not (pool.commands or pool.is_ready):
        unavailable = refusals.unavailable_now(pool, end - loop.time())
        if unavailable is not None:
            raise unavailable
        await asyncio.sleep(POLL_SECONDS)


def _without_octets(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "octets"}


@answered
async def workers(request: Request) -> Response:
    """GET /v1/pools/{pool}/workers."""
    no_query(request)
    return json({"items": worker_objects(_pool(request, "workers"))})


@answered
async def recycle(request: Request) -> Response:
    """POST …/workers/{worker}/recycle: 202; replaced by a new worker, then drained."""
    no_query(request)
    pool = _pool(request, "recycle")
    worker = pool.worker(request.path_params["worker"])
    if not worker.is_linked:
        raise Unavailable(
            f'worker "{worker.name}" has not dialled this router', retry_after_ms=1000
        )
    try:
        await router_of(request).sessions.ask(worker, {"op": "recycle"})
    except TimeoutError:
        raise _silent(worker.name) from None
    return json({"name": worker.name, "state": worker.state}, 202)


def _silent(worker: str) -> PythonPoolError:
    return WorkerCrashed(
        f'worker "{worker}" did not answer in time', worker=worker, cause="unknown"
    )
