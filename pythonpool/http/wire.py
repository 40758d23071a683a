"""The waiting side of HTTP: one router over urllib3. Its errors are translated here alone."""

import http.client
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import parse_url

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

KEPT_CONNECTIONS = 64
_READ_BYTES = 65536


class Wire:
    """Sends requests and reads answers; each request is sent at most once. Thread-safe."""

    def __init__(
        self, connection: Connection, connect_timeout: float, tls: ssl.SSLContext | None
    ) -> None:
        self._connection = connection
        self._connect_timeout = connect_timeout
        self._pool = _connection_pool(connection.url, tls)

    def value(self, request: Request) -> Any:
        """The whole answer: JSON as Python values, bytes as bytes."""
        with self._answer(request) as response:
            with self._translated(request):
                body = response.read()
            return value_of(response.status, response.headers, body)

    def events(self, request: Request) -> Generator[Event]:
        """The events of a call; leaving early closes the connection, which cancels the call."""
        with self._answer(request) as response:
            if response.status != 200 or not is_event_stream(response.headers):
                with self._translated(request):
                    body = response.read()
                yield Event("result", value_of(response.status, response.headers, body), 1)
                return
            _bound_silence(response, request.silence_seconds)
            parser = EventParser(is_of_generator(response.headers))
            while received := self._part(request, response):
                for event in parser.feed(received):
                    if event.kind == "result":
                        response.drain_conn()  # so that the connection can be kept
                        yield event
                        return
                    yield event
        raise connection_lost(self._connection.url, request, "the stream has no result")

    def stream(self, place: str, command: str, args: Args, limits: Limits) -> Generator[Event]:
        """One call's events."""
        return self.events(execute(place, command, args, limits, stream=True))

    def execute(
        self, place: str, command: str, args: Args, limits: Limits, on_progress: ProgressSink | None
    ) -> Any:
        """One call's result, over a stream where that is needed."""
        if on_progress is None and not limits.wants_stream:
            return self.value(execute(place, command, args, limits, stream=False))
        gathering = Gathering()
        for event in self.stream(place, command, args, limits):
            if event.kind == "progress" and on_progress is not None:
                on_progress(event.data)
            gathering.take(event)
        return gathering.value

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()

    @contextmanager
    def _answer(self, request: Request) -> Iterator[BaseHTTPResponse]:
        with self._translated(request):
            response = self._pool.urlopen(
                request.method,
                self._connection.base_path + request.path,
                body=request.body,
                headers=self._connection.headers() | request.headers(),
                # A call runs at most once: what may have started is never sent again. A kept
                # connection that the router has closed meanwhile is seen before the first byte.
                retries=False,
                redirect=False,
                timeout=Timeout(connect=self._connect_timeout, read=request.patience_seconds),
                preload_content=False,
                decode_content=False,
            )
        try:
            yield response
        finally:
            response.close()  # one that was read to its end has gone back to the pool already

    def _part(self, request: Request, response: BaseHTTPResponse) -> bytes:
        with self._translated(request):
            return response.read1(_READ_BYTES)

    @contextmanager
    def _translated(self, request: Request) -> Iterator[None]:
        url = self._connection.url
        try:
            yield
        except (NewConnectionError, ConnectTimeoutError, ClosedPoolError) as error:
            raise no_connection(url, _reason(error)) from error
        except SSLError as error:
            if _certificate_refused(error):
                raise no_connection(url, _reason(error)) from error
            raise connection_lost(url, request, _reason(error)) from error
        except ReadTimeoutError as error:
            raise connection_lost(url, request, SILENT) from error
        except HTTPError as error:
            raise connection_lost(url, request, _reason(error)) from error


def _connection_pool(url: str, tls: ssl.SSLContext | None) -> HTTPConnectionPool:
    parts = parse_url(url)
    host, port = parts.host or "", parts.port
    options = [*HTTPConnection.default_socket_options, *KEEPALIVE]
    if parts.scheme == "https":
        return HTTPSConnectionPool(
            host, port, maxsize=KEPT_CONNECTIONS, ssl_context=tls, socket_options=options
        )
    return HTTPConnectionPool(host, port, maxsize=KEPT_CONNECTIONS, socket_options=options)


def _bound_silence(response: BaseHTTPResponse, seconds: float) -> None:
    sock = getattr(response.connection, "sock", None)
    if sock is not None:  # None after `Connection: close`; then keepalive alone watches
        sock.settimeout(seconds)


def _reason(error: BaseException) -> str:
    """The system's own words where there are some, not the library's wrapping."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, http.client.RemoteDisconnected | http.client.IncompleteRead):
            return CLOSED
        if isinstance(inner, OSError) and inner.strerror:
            return system_words(inner)
        wrapped = next((item for item in inner.args if isinstance(item, BaseException)), None)
        inner = wrapped or inner.__cause__
    return str(error) or type(error).__name__


def _certificate_refused(error: SSLError) -> bool:
    return any(isinstance(item, ssl.SSLCertVerificationError) for item in error.args)
