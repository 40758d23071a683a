"""A cold request, handed to an ASGI application as one task; its answer, written as it comes."""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pythonpool.errors import Internal
from pythonpool_router.access import Caller
from pythonpool_router.logs import Logger
from pythonpool_router.requests import Request
from pythonpool_router.site import Message, Scope
from pythonpool_router.target import Target

if TYPE_CHECKING:
    from pythonpool_router.front import Connection

_log = Logger()
_OURS = frozenset((b"connection", b"transfer-encoding", b"date", b"server"))


class Bridge:
    """One cold request of a connection; `has_head`: its answer has begun."""

    def __init__(
        self, connection: "Connection", request: Request, target: Target, caller: Caller | None
    ) -> None:
        self._connection = connection
        self._request = request
        self._scope = _scope(connection, request, target, caller)
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_read = False
        self._start: Message | None = None
        self.has_head = False
        self._is_chunked = False
        self._is_done = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def gone(self) -> None:
        """The caller has gone: the task ends."""
        self._gone.set()
        self._writable.set()
        self._task.cancel()

    def stuck(self, is_stuck: bool) -> None:
        """The connection takes no (takes) bytes."""
        if is_stuck:
            self._writable.clear()
        else:
            self._writable.set()

    async def _run(self) -> None:
        try:
            await self._connection.site.app(self._scope, self._receive, self._send)
            if not self._is_done:
                raise RuntimeError("the application ended without an answer")
        except Exception as error:  # noqa: BLE001 - the edge to the application
            if self._gone.is_set():
                return
            _log.exception("a cold request failed", path=self._scope["path"])
            if self.has_head:
                self._connection.abort()
            else:
                self._connection.answer_problem(Internal(f"the router failed: {error!r}"))

    async def _receive(self) -> Message:
        if not self._is_read:
            self._is_read = True
            body = b"".join(self._request.body)
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set() or self._is_done:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        body = bytes(message.get("body", b""))
        more = bool(message.get("more_body", False))
        if not self.has_head:
            self._write_head(len(body), more)
        if self._request.method == b"HEAD":
            body = b""
        if body:
            if self._is_chunked:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            self._connection.write(body)
        if more:
            await self._writable.wait()
            return
        if self._is_chunked and self._request.method != b"HEAD":
            self._connection.write(b"0\r\n\r\n")
        self._is_done = True
        self._connection.finished()

    def _write_head(self, size: int, more: bool) -> None:
        assert self._start is not None  # noqa: S101
        self.has_head = True
        status = int(self._start["status"])
        fields = [
            (bytes(name), bytes(value))
            for name, value in self._start.get("headers", ())
            if bytes(name).lower() not in _OURS
        ]
        if not any(name.lower() == b"content-length" for name, _ in fields):
            if more:
                self._is_chunked = True
                fields.append((b"Transfer-Encoding", b"chunked"))
            elif status not in (204, 304):
                fields.append((b"Content-Length", b"%d" % size))
        self._connection.write(self._connection.head(status, fields))


def _scope(
    connection: "Connection", request: Request, target: Target, caller: Caller | None
) -> Scope:
    state: dict[str, Any] = {**connection.site.state, "caller": caller}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method.decode("ascii"),
        "scheme": "http",
        "path": unquote_to_bytes(target.raw_path).decode("utf-8", "replace"),
        "raw_path": target.raw_path,
        "query_string": target.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.fields],
        "client": None,
        "server": None,
        "state": state,
    }
