"""Sessions: opened, shown, listed and deleted; the worker that holds one is the judge of it."""

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pythonpool.errors import InvalidArgument, SessionNotFound, Unavailable
from pythonpool.names import SessionHandle
from pythonpool_router import said
from pythonpool_router.cold.answers import (
    answered,
    caller_of,
    json,
    no_query,
    only_query,
    router_of,
)
from pythonpool_router.cold.opening import read_opening
from pythonpool_router.pools import Pool
from pythonpool_router.standing import linked, unlinked
from pythonpool_router.workers import Worker

LIST_SECONDS = 1.0


@answered
async def create(request: Request) -> Response:
    """POST /v1/sessions: 201 when its executor is open."""
    no_query(request)
    router = router_of(request)
    body = await request.body()
    asked = read_opening(body)
    router.access.permit(caller_of(request), "session", asked["pool"])
    pool = router.pools.get(asked["pool"])
    _check_ttl(pool, asked.get("ttl_seconds"))
    session = await router.sessions.open_session(
        pool,
        _open_body(asked),
        caller_of(request).name,
        None,
        request.headers.get("traceparent", "").encode("latin-1"),
    )
    return json(session, 201, {"Location": f"/v1/sessions/{session['session_id']}"})


def _check_ttl(pool: Pool, ttl_seconds: int | None) -> None:
    most = pool.spec["sessions"]["maxTtlSeconds"]
    if ttl_seconds is not None and not 1 <= ttl_seconds <= most:
        raise InvalidArgument(
            f'ttl_seconds is {ttl_seconds}, must be from 1 to {most} in pool "{pool.name}"'
        )


def _open_body(asked: dict[str, Any]) -> bytes:
    """The body of the CALL with OPEN: what the worker needs to know."""
    wanted = {
        name: asked[name] for name in ("ttl_seconds", "context") if asked.get(name) is not None
    }
    return orjson.dumps(wanted)


def _handle(request: Request) -> SessionHandle:
    handle = SessionHandle.parse(request.path_params["session"])
    if handle is None:
        raise SessionNotFound("no such session: the id is malformed")
    return handle


@answered
async def show(request: Request) -> Response:
    """GET /v1/sessions/{id}; does not renew the TTL."""
    no_query(request)
    handle, sessions = _handle(request), router_of(request).sessions
    worker = await sessions.find_session(handle)
    question = {"op": "session.get", "session": handle.secret, "owner": caller_of(request).name}
    try:
        answer = await sessions.ask(worker, question)
        return json(_own(worker, answer))
    except (TimeoutError, ValueError):
        raise _silent(handle) from None


@answered
async def delete(request: Request) -> Response:
    """DELETE /v1/sessions/{id}: 204; a running call of it is cancelled."""
    no_query(request)
    handle, sessions = _handle(request), router_of(request).sessions
    try:
        await sessions.delete_session(handle, caller_of(request).name)
    except TimeoutError:
        raise _silent(handle) from None
    return Response(status_code=204)


def _silent(handle: SessionHandle) -> Unavailable:
    """Its worker does not answer; it may well live, and 410 would have the caller give it up."""
    return Unavailable(
        f'worker "{handle.worker}" of the session does not answer; retry after 1 s',
        cause="link_lost",
        retry_after_ms=1000,
    )


@answered
async def index(request: Request) -> Response:
    """GET /v1/sessions: the caller's own, asked of all workers within a second."""
    query = only_query(request, "pool")
    router, caller = router_of(request), caller_of(request)
    pools = [router.pools.get(query["pool"])] if "pool" in query else router.pools.by_name.values()
    workers = [worker for pool in pools for worker in linked(pool)]
    missing = any(map(_misses_sessions, pools))
    answers = await asyncio.gather(
        *(_listed(request, worker, caller.name) for worker in workers), return_exceptions=True
    )
    whole = [answer for answer in answers if isinstance(answer, dict)]
    items = [item for answer in whole for item in answer["items"]]
    cut = len(whole) < len(answers) or any(answer.get("incomplete") for answer in whole)
    return json({"items": items, "incomplete": cut or missing})


def _misses_sessions(pool: Pool) -> bool:
    """Whether a worker without a link may hold sessions; one that has never been ready does not."""
    return any(
        worker.state in ("ready", "draining") or worker.name in pool.workers
        for worker in unlinked(pool)
    )


async def _listed(request: Request, worker: Worker, owner: str) -> dict[str, Any]:
    question = {"op": "session.list", "owner": owner}
    answer = await router_of(request).sessions.ask(worker, question, LIST_SECONDS)
    return {
        "items": [_own(worker, item) for item in answer["items"]],
        "incomplete": answer.get("incomplete"),
    }


def _own(worker: Worker, item: Any) -> dict[str, Any]:
    """A session as its worker tells it, if it is one of that worker's."""
    return said.session(item, worker.pool.name, worker.name, worker.incarnation)
