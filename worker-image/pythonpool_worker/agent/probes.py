"""`/livez`, `/readyz`, `/startupz`: answered by the agent, whatever executors do."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

_DEADLINE_SECONDS = 5.0
_MAX_HEAD = 8192

_ANSWERS = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}


class Probes:
    """A tiny HTTP/1.1 server; `state()` is the worker's state in one word."""

    def __init__(self, state: Callable[[], str], was_ready: Callable[[], bool]) -> None:
        self._state = state
        self._was_ready = was_ready
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(self, address: str) -> None:
        """Listen on `unix:PATH` or `tcp:HOST:PORT`.

        Raises:
            ValueError: `address` is neither.
            OSError: it can not be bound.
        """
        kind, _, rest = address.partition(":")
        if kind == "unix":
            self._path = Path(rest)
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._server = await asyncio.start_unix_server(self._serve, rest, limit=_MAX_HEAD)
            os.chmod(rest, 0o600)
        elif kind == "tcp":
            host, _, port = rest.rpartition(":")
            self._server = await asyncio.start_server(
                self._serve, host or None, int(port), limit=_MAX_HEAD
            )
        else:
            raise ValueError(f"probe address {address!r} is neither unix:PATH nor tcp:HOST:PORT")

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text = self._answer(head)
                body = text.encode() + b"\n"
                writer.write(
                    f"HTTP/1.1 {status} {_ANSWERS[status]}\r\nContent-Type: text/plain\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _answer(self, head: bytes) -> tuple[int, str]:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            return 400, "only GET is answered here"
        state = self._state()
        path = words[1].split(b"?", 1)[0]
        if path == b"/livez":
            return 200, "alive"
        if path == b"/readyz":
            return (200, "ready") if state == "ready" else (503, state)
        if path == b"/startupz":
            return (200, "started") if self._was_ready() else (503, state)
        return 404, "no such probe; there are /livez, /readyz and /startupz"
