"""From a checked request to a call: pool, time to run, flags."""

from typing import TYPE_CHECKING

from pythonpool.errors import CommandNotFound, InvalidArgument
from pythonpool.messages import SESSION, STREAM, UNKNOWN
from pythonpool_router.access import Caller
from pythonpool_router.answers import Answer
from pythonpool_router.call import Call
from pythonpool_router.picking import pick_pool
from pythonpool_router.pools import Pool, near
from pythonpool_router.refusals import worker_gone
from pythonpool_router.requests import Request
from pythonpool_router.site import Guard
from pythonpool_router.streams import StreamAnswer
from pythonpool_router.target import Target
from pythonpool_router.uploads import HELD_BYTES, Upload

if TYPE_CHECKING:
    from pythonpool_router.front import Connection

_MAX_TRACEPARENT = 255


def call_of(
    connection: "Connection", request: Request, target: Target, caller: Caller, guard: Guard
) -> Answer:
    """The answer-to-be of the call that a request asks for; not given to dispatch yet.

    Raises:
        PythonPoolError: it can not be: an unknown pool or command, a wrong time, not allowed.
    """
    named = request.named
    if b"idempotency-key" in named:
        raise InvalidArgument("Idempotency-Key is not supported yet; send the call without it")
    pool = _pool_of(connection, target)
    guard.access.permit(caller, "execute", pool.name)
    command = target.command
    if command not in pool.commands and pool.commands and target.session is None:
        known = near(command, pool.commands)
        raise CommandNotFound(f'pool "{pool.name}" offers no command "{command}"{known}')
    flags = 0 if target.session is None else SESSION
    accept = named.get(b"accept")
    if accept is not None and b"text/event-stream" in accept.lower():
        flags |= STREAM
        answer: Answer = StreamAnswer(connection)
    else:
        answer = Answer(connection)
    timeout_ms = _timeout_ms(pool, target)
    call = Call(pool, command, flags, timeout_ms, caller.name.encode(), answer)
    call.session = target.session
    traceparent = named.get(b"traceparent")
    if traceparent is not None and len(traceparent) <= _MAX_TRACEPARENT:
        call.traceparent = traceparent
    answer.call = call
    return answer


def give_body(call: Call, request: Request) -> None:
    """Hand the request's body to the call: whole, or as much as is here with the rest to come."""
    if request.is_whole and request.body_bytes <= HELD_BYTES:
        call.body = request.body
        call.body_bytes = request.body_bytes
        return
    upload = call.upload = Upload(call)
    for chunk in request.body:
        upload.add(chunk)
    request.body = []
    request.sink = upload.add
    length = request.body_bytes if request.is_whole else request.length
    call.body_bytes = UNKNOWN if length is None else length
    if request.is_whole:
        upload.finish()


def _pool_of(connection: "Connection", target: Target) -> Pool:
    dispatcher = connection.dispatcher
    if target.session is not None:
        pool = dispatcher.pools.by_name.get(target.session.pool)
        if pool is None:
            raise worker_gone(target.session)
        return pool
    if target.pool:
        return dispatcher.pools.get(target.pool)
    return pick_pool(dispatcher.pools, target.command, target.timeout_ms)


def _timeout_ms(pool: Pool, target: Target) -> int:
    asked = target.timeout_ms
    if asked is None:
        known = pool.timeouts_ms.get(target.command)
        if known is None:
            known = round(min(pool.timeout_seconds, pool.max_timeout_seconds) * 1000)
        return known
    if asked > pool.max_timeout_seconds * 1000:
        raise InvalidArgument(
            f"timeout is {asked / 1000:g}, it must be from 0.001 to {pool.max_timeout_seconds:g} "
            f'in pool "{pool.name}"'
        )
    return asked
