"""The asyncio client: `AsyncClient` and its sessions; the same calls as `Client`, awaited."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from pythonpool.errors import NotFound, SessionExpired, SessionLost
from pythonpool.http import connection, rest
from pythonpool.http.awire import AsyncWire
from pythonpool.http.rest import Args, JsonObject, Limits, ProgressSink
from pythonpool.http.streams import Event


class AsyncSession:
    """State on one worker, under `id`. Calls of one session run one after the other.

    Attributes:
        id: the handle that calls are made with.
        details: the session object of API.md section 2 as it was when the session was made;
            empty for one that was attached to.
    """

    def __init__(self, wire: AsyncWire, session_id: str, details: JsonObject) -> None:
        self._wire = wire
        self._place = rest.session_place(session_id)
        self.id = session_id
        self.details = details

    async def execute(
        self,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the worker's clock, not ours
        queue_timeout: float | None = None,
        on_progress: ProgressSink | None = None,
    ) -> Any:
        """Run a command on this session's state; as `Client.execute`."""
        limits = Limits(timeout, queue_timeout)
        return await self._wire.execute(self._place, command, args, limits, on_progress)

    def stream(
        self,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
    ) -> AsyncGenerator[Event]:
        """The events of a call on this session's state; as `Client.stream`."""
        return self._wire.stream(self._place, command, args, Limits(timeout, queue_timeout))

    async def show(self) -> JsonObject:
        """The session object of API.md section 2, as it is now; the TTL is not renewed."""
        return dict(await self._wire.value(rest.show_session(self.id)))

    async def delete(self) -> None:
        """End the session; a running call of it is cancelled."""
        await self._wire.value(rest.delete_session(self.id))


class AsyncClient:
    """One router, for one event loop; close it, or use it as `async with`.

    Arguments and errors are those of `Client`. Cancelling a task that waits for a call closes the
    call's connection, which cancels the call. `on_progress` may return an awaitable.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        connect_timeout: float = 10.0,
        ca_file: str | None = None,
    ) -> None:
        found = connection.resolve(url, token)
        self.url = found.url
        self._wire = AsyncWire(found, connect_timeout, connection.tls_context(found.url, ca_file))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the kept connections."""
        await self._wire.close()

    async def execute(
        self,
        pool: str | None,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the worker's clock, not ours
        queue_timeout: float | None = None,
        on_progress: ProgressSink | None = None,
    ) -> Any:
        """Run one command and wait for its result; as `Client.execute`."""
        limits = Limits(timeout, queue_timeout)
        return await self._wire.execute(rest.pool_place(pool), command, args, limits, on_progress)

    def stream(
        self,
        pool: str | None,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
    ) -> AsyncGenerator[Event]:
        """The events of one call; as `Client.stream`."""
        limits = Limits(timeout, queue_timeout)
        return self._wire.stream(rest.pool_place(pool), command, args, limits)

    @asynccontextmanager
    async def session(
        self,
        pool: str,
        ttl_seconds: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncSession]:
        """A session for the length of an `async with` block; leaving it deletes the session."""
        session = await self.create_session(pool, ttl_seconds, context)
        try:
            yield session
        except BaseException as leaving:
            try:
                await session.delete()
            except Exception as error:  # noqa: BLE001 - the block's own error is the news
                leaving.add_note(f"session {session.id} could not be deleted: {error}")
            raise
        # One that is gone is as it was wanted.
        with suppress(NotFound, SessionExpired, SessionLost):
            await session.delete()

    async def create_session(
        self,
        pool: str,
        ttl_seconds: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> AsyncSession:
        """A session that lives until it is deleted or expires; as `Client.create_session`."""
        said = await self._wire.value(rest.create_session(pool, ttl_seconds, context))
        return AsyncSession(self._wire, said["session_id"], dict(said))

    def attach(self, session_id: str) -> AsyncSession:
        """The session of that id, made earlier or elsewhere; nothing is asked yet."""
        return AsyncSession(self._wire, session_id, {})

    async def sessions(self, pool: str | None = None) -> JsonObject:
        """`{"items": [session…], "incomplete"}`: one's own; incomplete when a worker is mute."""
        return dict(await self._wire.value(rest.list_sessions(pool)))

    async def pools(self) -> list[JsonObject]:
        """All pools, each as `pool` gives it."""
        return list((await self._wire.value(rest.list_pools()))["items"])

    async def pool(self, name: str) -> JsonObject:
        """`{"name", "adapter", "workers", "available", "busy", "total", "queued", …}`."""
        return dict(await self._wire.value(rest.show_pool(name)))

    async def commands(self, pool: str) -> list[JsonObject]:
        """The commands that a pool offers, with the JSON Schema of args and result."""
        return list((await self._wire.value(rest.list_commands(pool)))["items"])

    async def workers(self, pool: str) -> list[JsonObject]:
        """The workers of a pool."""
        return list((await self._wire.value(rest.list_workers(pool)))["items"])

    async def recycle(self, pool: str, worker: str) -> None:
        """Have a worker replaced, then drained; returns before that is done."""
        await self._wire.value(rest.recycle_worker(pool, worker))

    async def version(self) -> JsonObject:
        """What the router says about its version."""
        return dict(await self._wire.value(rest.show_version()))
