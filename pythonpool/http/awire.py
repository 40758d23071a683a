"""The asyncio side of HTTP: one router over aiohttp. Its errors are translated here alone."""

import asyncio
import inspect
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from yarl import URL

from pythonpool.http.answers import (
    CLOSED,
    SILENT,
    connection_lost,
    is_event_stream,
    is_of_generator,
    no_connection,
    system_words,
    value_of,
)
from pythonpool.http.connection import KEEPALIVE, Connection
from pythonpool.http.rest import Args, Limits, ProgressSink, Request, execute
from pythonpool.http.streams import Event, EventParser, Gathering

# Below every usual idle limit of proxies and of the router (75 s): a connection that is about to be
# closed by the other side is not used again.
_KEEP_SECONDS = 15.0


class AsyncWire:
    """Sends requests and reads answers; each request is sent at most once. For one event loop."""

    def __init__(
        self, connection: Connection, connect_timeout: float, tls: ssl.SSLContext | None
    ) -> None:
        self._connection = connection
        self._connect_timeout = connect_timeout
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def value(self, request: Request) -> Any:
        """The whole answer: JSON as Python values, bytes as bytes."""
        async with self._answer(request) as response:
            with self._translated(request):
                body = await response.read()
            return value_of(response.status, response.headers, body)

    async def events(self, request: Request) -> AsyncGenerator[Event]:
        """The events of a call; leaving early closes the connection, which cancels the call."""
        async with self._answer(request) as response:
            if response.status != 200 or not is_event_stream(response.headers):
                with self._translated(request):
                    body = await response.read()
                yield Event("result", value_of(response.status, response.headers, body), 1)
                return
            parser = EventParser(is_of_generator(response.headers))
            while received := await self._part(request, response):
                for event in parser.feed(received):
                    if event.kind == "result":
                        await self._drain(request, response)
                        yield event
                        return
                    yield event
        raise connection_lost(self._connection.url, request, "the stream has no result")

    def stream(self, place: str, command: str, args: Args, limits: Limits) -> AsyncGenerator[Event]:
        """One call's events."""
        return self.events(execute(place, command, args, limits, stream=True))

    async def execute(
        self, place: str, command: str, args: Args, limits: Limits, on_progress: ProgressSink | None
    ) -> Any:
        """One call's result, over a stream where that is needed."""
        if on_progress is None and not limits.wants_stream:
            return await self.value(execute(place, command, args, limits, stream=False))
        gathering = Gathering()
        async with aclosing(self.stream(place, command, args, limits)) as events:
            async for event in events:
                if event.kind == "progress" and on_progress is not None:
                    told = on_progress(event.data)
                    if inspect.isawaitable(told):
                        await told
                gathering.take(event)
        return gathering.value

    async def close(self) -> None:
        """Close the kept connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _answer(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        with self._translated(request):
            response = await self._opened().request(
                request.method,
                # encoded: names are percent-encoded already, and nothing may tidy them up.
                URL(self._connection.url + request.path, encoded=True),
                data=request.body,
                headers=self._connection.headers() | request.headers(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self._connect_timeout,
                    sock_read=request.patience_seconds,
                ),
            )
        try:
            yield response
        finally:
            response.close()  # one that was read to its end has given its connection back already

    async def _part(self, request: Request, response: aiohttp.ClientResponse) -> bytes:
        with self._translated(request):
            try:
                async with asyncio.timeout(request.silence_seconds):
                    return await response.content.readany()
            except TimeoutError as error:
                raise connection_lost(self._connection.url, request, SILENT) from error

    async def _drain(self, request: Request, response: aiohttp.ClientResponse) -> None:
        """Read the end of the body, so that the connection can be kept."""
        while await self._part(request, response):
            pass

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_KEEP_SECONDS,
                ssl=self._tls or True,
                socket_factory=_watched_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    @contextmanager
    def _translated(self, request: Request) -> Iterator[None]:
        url = self._connection.url
        try:
            yield
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise no_connection(url, _reason(error)) from error
        except aiohttp.SocketTimeoutError as error:
            raise connection_lost(url, request, SILENT) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise connection_lost(url, request, _reason(error)) from error


def _watched_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    for option in KEEPALIVE:
        made.setsockopt(*option)
    return made


def _reason(error: BaseException) -> str:
    """The system's own words where there are some, not the library's wrapping."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return CLOSED
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientPayloadError):
        inner = error.__cause__ or error
        if not isinstance(inner, OSError):
            return CLOSED
    if isinstance(inner, OSError) and inner.strerror:
        return system_words(inner)
    return str(error) or type(error).__name__
