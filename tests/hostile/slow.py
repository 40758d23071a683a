"""Callers that are slow on purpose: six shapes that five servers were measured by, and two more."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from hostile.rawhttp import Door, answers, marked
from hostile.shapes import BODY, CHUNKED, LENGTH, NAMED, NOTE

CLOSED_SECONDS = 35.0
SLOT_WAITS_SECONDS = 2.0
OPEN_SESSION = b"POST /v1/sessions" + NAMED + b"Content-Length: 100\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Slow:
    """One shape: what is said at once, what then at a byte a second, and how it must end.

    Attributes:
        statuses: the answers before the end.
        seconds: until the end, at most.
    """

    at_once: bytes
    drip: bytes
    statuses: tuple[int, ...]
    seconds: float = CLOSED_SECONDS


SLOW: dict[str, Slow] = {
    "nothing": Slow(b"", b"", ()),
    "half a head": Slow(NOTE[:50], b"", (408,)),
    "a head at a byte a second": Slow(NOTE[:5], NOTE[5:], (408,)),
    "a body that stops": Slow(NOTE + LENGTH + b"\r\n" + BODY[:5], b"", (408,), SLOT_WAITS_SECONDS),
    "a body at a byte a second": Slow(NOTE + LENGTH + b"\r\n", BODY, (408,), SLOT_WAITS_SECONDS),
    "a chunked body at a byte a second": Slow(
        CHUNKED + b"\r\n", b"1\r\n{\r\n" * 20, (408,), SLOT_WAITS_SECONDS
    ),
    "a body that no slot waits for, at a byte a second": Slow(OPEN_SESSION, b" " * 100, (408,)),
    "a chunk that never ends": Slow(CHUNKED + b"\r\n1;", b"x" * 100, (408,), SLOT_WAITS_SECONDS),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How one slow connection ended."""

    statuses: tuple[int, ...]
    seconds: float


async def suffer(door: Door, shape: Slow) -> Ended:
    """Be that caller until the router closes; before a proxy until it has answered."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    began = time.monotonic()
    text, _ = marked(shape.at_once, door.token)
    writer.write(text)
    dripping = asyncio.create_task(_drip(writer, shape.drip))
    came = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            came += part
            if door.is_proxy and b"\r\n\r\n" in came:
                break
    seconds = time.monotonic() - began
    dripping.cancel()
    writer.close()
    return Ended(tuple(answer.status for answer in answers(came, was_reset=True)), seconds)


async def _drip(writer: asyncio.StreamWriter, text: bytes) -> None:
    for at in range(len(text)):
        await asyncio.sleep(1)
        writer.write(text[at : at + 1])
