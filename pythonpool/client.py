"""The waiting client: `Client` and its sessions."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from pythonpool.errors import NotFound, SessionExpired, SessionLost
from pythonpool.http import connection, rest
from pythonpool.http.rest import Args, JsonObject, Limits, ProgressSink
from pythonpool.http.streams import Event
from pythonpool.http.wire import Wire


class Session:
    """State on one worker, under `id`. Calls of one session run one after the other.

    Attributes:
        id: the handle that calls are made with.
        details: the session object of API.md section 2 as it was when the session was made;
            empty for one that was attached to.
    """

    def __init__(self, wire: Wire, session_id: str, details: JsonObject) -> None:
        self._wire = wire
        self._place = rest.session_place(session_id)
        self.id = session_id
        self.details = details

    def execute(
        self,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        on_progress: ProgressSink | None = None,
    ) -> Any:
        """Run a command on this session's state; as `Client.execute`."""
        limits = Limits(timeout, queue_timeout)
        return self._wire.execute(self._place, command, args, limits, on_progress)

    def stream(
        self,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
    ) -> Generator[Event]:
        """The events of a call on this session's state; as `Client.stream`."""
        return self._wire.stream(self._place, command, args, Limits(timeout, queue_timeout))

    def show(self) -> JsonObject:
        """The session object of API.md section 2, as it is now; the TTL is not renewed."""
        return dict(self._wire.value(rest.show_session(self.id)))

    def delete(self) -> None:
        """End the session; a running call of it is cancelled."""
        self._wire.value(rest.delete_session(self.id))


class Client:
    """One router. Safe to share between threads; nothing is sent before the first call.

    Args:
        url: `http(s)://HOST[:PORT][/PATH]`; default `PYTHONPOOL_URL`, else the running `up` of
            this home, else http://127.0.0.1:8080.
        token: default `PYTHONPOOL_TOKEN`, else what is in `PYTHONPOOL_TOKEN_FILE`, else in
            `$PYTHONPOOL_HOME/token`; files are read again as they age.
        connect_timeout: seconds for making a connection, > 0.
        ca_file: certificates (PEM) that an https router is checked against; default the system's.

    Every method raises the typed errors of `pythonpool.errors`. No answer is ever waited for
    twice: a call that may have started is not sent again. Without a connection: `Unavailable`,
    cause `no_connection`, outcome `not_started`. A connection that breaks in mid-call:
    `Internal`, cause `connection_lost`, outcome `unknown` (of a read: `Unavailable`).
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
        self._wire = Wire(found, connect_timeout, connection.tls_context(found.url, ca_file))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections; calls that run in other threads end on their own."""
        self._wire.close()

    def execute(
        self,
        pool: str | None,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        on_progress: ProgressSink | None = None,
    ) -> Any:
        """Run one command and wait for its result.

        Args:
            pool: the pool's name; None lets the router pick one that offers the command.
            command: the command's name.
            args: a mapping of names to JSON values, or bytes for a command that takes bytes.
            timeout: seconds to run, from 0.001 to the pool's maxTimeoutSeconds; default the
                command's, else the pool's. Over 30 s, or unknown, the answer is asked for as a
                stream, so that no proxy's idle limit ends the call.
            queue_timeout: seconds to wait for a slot, 0 (do not wait) to 3600; default the pool's.
            on_progress: called with `{"fraction", …}` for each progress of the command.

        Returns:
            The JSON result as Python values, or bytes; the list of what a generator yielded.
        """
        limits = Limits(timeout, queue_timeout)
        return self._wire.execute(rest.pool_place(pool), command, args, limits, on_progress)

    def stream(
        self,
        pool: str | None,
        command: str,
        args: Args = None,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
    ) -> Generator[Event]:
        """The events of one call: `progress`, `chunk`, and at the end one `result`.

        The call starts with the first event that is asked for; closing the iterator early
        cancels it. Args and errors as in `execute`.
        """
        limits = Limits(timeout, queue_timeout)
        return self._wire.stream(rest.pool_place(pool), command, args, limits)

    @contextmanager
    def session(
        self,
        pool: str,
        ttl_seconds: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Iterator[Session]:
        """A session for the length of a `with` block; leaving it deletes the session."""
        session = self.create_session(pool, ttl_seconds, context)
        try:
            yield session
        except BaseException as leaving:
            try:
                session.delete()
            except Exception as error:  # noqa: BLE001 - the block's own error is the news
                leaving.add_note(f"session {session.id} could not be deleted: {error}")
            raise
        # One that is gone is as it was wanted.
        with suppress(NotFound, SessionExpired, SessionLost):
            session.delete()

    def create_session(
        self,
        pool: str,
        ttl_seconds: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Session:
        """A session that lives until it is deleted, or `ttl_seconds` after its last call.

        Args:
            pool: the pool's name.
            ttl_seconds: from 1 to the pool's maxTtlSeconds; default the pool's ttlSeconds.
            context: a JSON object that the adapter sees as `Context.session.context`.
        """
        said = self._wire.value(rest.create_session(pool, ttl_seconds, context))
        return Session(self._wire, said["session_id"], dict(said))

    def attach(self, session_id: str) -> Session:
        """The session of that id, made earlier or elsewhere; nothing is asked yet."""
        return Session(self._wire, session_id, {})

    def sessions(self, pool: str | None = None) -> JsonObject:
        """`{"items": [session…], "incomplete"}`: one's own; incomplete when a worker is mute."""
        return dict(self._wire.value(rest.list_sessions(pool)))

    def pools(self) -> list[JsonObject]:
        """All pools, each as `pool` gives it."""
        return list(self._wire.value(rest.list_pools())["items"])

    def pool(self, name: str) -> JsonObject:
        """`{"name", "adapter", "workers", "available", "busy", "total", "queued", …}`."""
        return dict(self._wire.value(rest.show_pool(name)))

    def commands(self, pool: str) -> list[JsonObject]:
        """The commands that a pool offers, with the JSON Schema of args and result."""
        return list(self._wire.value(rest.list_commands(pool))["items"])

    def workers(self, pool: str) -> list[JsonObject]:
        """The workers of a pool."""
        return list(self._wire.value(rest.list_workers(pool))["items"])

    def recycle(self, pool: str, worker: str) -> None:
        """Have a worker replaced, then drained; returns before that is done."""
        self._wire.value(rest.recycle_worker(pool, worker))

    def version(self) -> JsonObject:
        """What the router says about its version."""
        return dict(self._wire.value(rest.show_version()))
