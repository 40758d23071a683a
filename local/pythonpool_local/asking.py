"""One HTTP GET over a Unix socket: probes of agents, and questions to routers."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

_MOST_BYTES = 16 * 1024 * 1024


async def get(
    socket: Path, target: str, timeout_seconds: float, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer.

    Raises:
        OSError: nobody listens, no answer within the time, or what came is no HTTP.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _exchange(socket, target, headers or {})
    except (ValueError, IndexError, asyncio.IncompleteReadError) as error:
        raise OSError(f"{socket} gave no HTTP answer") from error


async def _exchange(socket: Path, target: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=_MOST_BYTES)
    try:
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        return status, await _body(reader, head)
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return await reader.readexactly(min(int(value), _MOST_BYTES))
    return await reader.read(_MOST_BYTES)
