"""Sessions and workers asked in the cold: open, find, delete, and questions over the link."""

import asyncio
from typing import Any

import orjson

from pythonpool.errors import PythonPoolError, Unavailable, WorkerCrashed
from pythonpool.messages import OPEN, CancelReason, Kind
from pythonpool.names import SessionHandle
from pythonpool_router import refusals, said
from pythonpool_router.call import Call, Reply
from pythonpool_router.dispatch import Dispatcher
from pythonpool_router.pools import Pool
from pythonpool_router.uploads import HELD_BYTES, Upload
from pythonpool_router.workers import Worker

POLL_SECONDS = 0.02
_OPENED_BYTES = 65_536
"""A session object may have so many bytes beside its context, which escapes make 6 times longer."""


def _no_session(worker: Worker | None, why: str) -> WorkerCrashed:
    name = "" if worker is None else worker.name
    return WorkerCrashed(
        f'worker "{name}" answered with what is no session: {why}', cause="unknown", worker=name
    )


class _Opened(Reply):
    """The caller's end of a session that is being opened: a future."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._call: Call | None = None
        self._missing = 0

    def began(self, call: Call) -> None:
        """Said by no worker here."""

    def progress(self, payload: bytes) -> None:
        """Said by no worker here."""

    def chunk(self, more: bool, text: bytes) -> None:
        """Said by no worker here."""

    def result(self, call: Call, octets: bool, total: int, first: bytes) -> None:
        """The session object, or the first part of a long one."""
        self._dispatcher.opened()
        self._call = call
        if total > _OPENED_BYTES + 6 * call.body_bytes:
            self.failed(call, _no_session(call.worker, f"{total} bytes"))
            if call.link is not None:
                call.link.drop(call, CancelReason.CALLER_GONE)
            return
        self._parts.append(first)
        self._missing = total - len(first)
        if self._missing <= 0:
            self.end()

    def data(self, part: bytes) -> None:
        """More of it."""
        self._parts.append(part)
        call = self._call
        if call is not None and call.link is not None:
            call.link.grant(call, len(part))

    def end(self) -> None:
        """It is whole."""
        if not self.future.done():
            self.future.set_result(b"".join(self._parts))

    def failed(self, call: Call, error: PythonPoolError) -> None:
        """There is no session."""
        if not self.future.done():
            self.future.set_exception(error)

    def read_on(self) -> None:
        """The body is here already."""


class Sessions:
    """What the cold routes ask of workers."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def ask(
        self, worker: Worker, question: dict[str, Any], timeout_seconds: float = 1.0
    ) -> dict[str, Any]:
        """Ask a worker's agent a cold question and wait for its answer.

        Raises:
            PythonPoolError: what the agent says against it.
            WorkerCrashed: the link broke meanwhile.
            Unavailable: the worker has no link.
            TimeoutError: no answer in time.
        """
        link = worker.link
        if link is None:
            raise Unavailable(f'worker "{worker.name}" has no link', cause="link_lost")
        number = self._dispatcher.next_number()
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        link.asks[number] = future
        link.put(Kind.ASK, number, orjson.dumps(question))
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        finally:
            link.asks.pop(number, None)

    async def open_session(
        self,
        pool: Pool,
        body: bytes,
        owner: str,
        queue_timeout: float | None = None,
        traceparent: bytes = b"",
    ) -> dict[str, Any]:
        """Open a session in `pool`; `body` is `{"ttl_seconds"?, "context"?}` as JSON.

        Returns the session object of API.md 2. Cancelling the task cancels the opening.

        Raises:
            PythonPoolError: the session could not be opened.
        """
        reply = _Opened(self._dispatcher)
        timeout_ms = round(pool.spec["healthCheck"]["startupSeconds"] * 1000)
        call = Call(pool, "", OPEN, timeout_ms, owner.encode(), reply)
        call.traceparent = traceparent
        call.body, call.body_bytes = [body], len(body)
        if len(body) > HELD_BYTES:
            call.upload = Upload(call)
            call.upload.add(body)
            call.upload.finish()
            call.body = []
        self._dispatcher.submit(call, queue_timeout)
        try:
            opened = await reply.future
        except asyncio.CancelledError:
            self._dispatcher.abandon(call, CancelReason.CALLER_GONE)
            raise
        worker = call.worker
        assert worker is not None  # noqa: S101
        try:
            return said.session(orjson.loads(opened), pool.name, worker.name, worker.incarnation)
        except ValueError as error:
            raise _no_session(worker, str(error)) from None

    async def find_session(self, handle: SessionHandle) -> Worker:
        """The linked worker that holds the session; one that exists is waited for.

        Raises:
            SessionLost: the worker, or that life of it, is gone.
            Unavailable: its link did not come within the pool's queue timeout.
        """
        worker = self._dispatcher.worker_of(handle)
        if worker is None:
            raise refusals.worker_gone(handle)
        try:
            async with asyncio.timeout(worker.pool.queue_timeout_seconds):
                while worker is not None and not worker.is_linked:
                    await asyncio.sleep(POLL_SECONDS)
                    worker = self._dispatcher.worker_of(handle)
        except TimeoutError:
            raise Unavailable(
                f'worker "{handle.worker}" of the session has no link to this router',
                cause="link_lost",
                retry_after_ms=1000,
            ) from None
        if worker is None:
            raise refusals.worker_gone(handle)
        return worker

    async def delete_session(self, handle: SessionHandle, owner: str) -> None:
        """End a session, its running call and the calls that wait for it.

        Raises:
            SessionLost, SessionNotFound, SessionExpired: there is none to end.
            TimeoutError: the worker did not answer in time.
        """
        worker = await self.find_session(handle)
        question = {"op": "session.delete", "session": handle.secret, "owner": owner}
        await self.ask(worker, question, timeout_seconds=10.0)
        self._dispatcher.session_deleted(handle)
