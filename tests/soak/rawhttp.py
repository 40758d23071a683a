"""HTTP/1.1 as plain as it can be: one kept connection, no retries, every broken promise shown."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, with its fields in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Connection:
    """One connection to one address, opened when it is needed and kept.

    Raises (`ask`):
        ConnectionError: it was refused, or ended before the whole answer was there.
    """

    def __init__(self, host: str, port: int, token: str, unix: Path | None = None) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._unix = unix
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, body: Any = None, *, accept: str = "*/*", idle: float = 0.0
    ) -> Reply:
        """One request and its answer; `idle` seconds pass before the first byte of it is read."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(data)}\r\n"
            f"Accept: {accept}\r\n\r\n"
        )
        try:
            reader = await self._opened()
            assert self._writer is not None
            self._writer.write(head.encode() + data)
            await asyncio.sleep(idle)
            reply = await self._read(reader)
        except (OSError, EOFError) as error:
            self.drop()
            raise ConnectionError(str(error)) from error
        except asyncio.CancelledError:
            self.drop()
            raise
        if reply.fields.get("connection") == "close":
            self.drop()
        return reply

    def drop(self) -> None:
        """Hang up without a word."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def close(self) -> None:
        """Hang up and wait for it."""
        writer = self._writer
        self.drop()
        if writer is not None:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _opened(self) -> asyncio.StreamReader:
        if self._reader is None or self._reader.at_eof():
            self.drop()
            if self._unix is not None:
                opened = await asyncio.open_unix_connection(self._unix)
            else:
                opened = await asyncio.open_connection(self._host, self._port)
            self._reader, self._writer = opened
        return self._reader

    async def _read(self, reader: asyncio.StreamReader) -> Reply:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in head[1:] if line)
        fields = {name.strip().lower(): value.strip() for name, value in pairs}
        if fields.get("transfer-encoding") == "chunked":
            body = await self._chunks(reader)
        else:
            body = await reader.readexactly(int(fields.get("content-length", 0)))
        return Reply(int(head[0].split()[1]), fields, body)

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body
