"""Bytes to a router, and the answers that come back, counted and read strictly."""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

PATIENCE_SECONDS = 20.0
QUIET_SECONDS = 0.3
TOKEN = b"@TOKEN@"
FIRST = b"AAAAAAAA"
SECOND = b"BBBBBBBB"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: never 100.
        fields: by name in lower case.
    """

    status: int
    fields: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Said:
    """What came back over one connection.

    Attributes:
        marks: those that stood in the request, in order.
        was_reset: the connection was cut, and the last answer may be so too.
        has_left: the caller half-closed first: what ran then was not answered.
    """

    marks: tuple[str, str]
    answers: list[Answer] = field(default_factory=list)
    was_reset: bool = False
    has_left: bool = False

    @property
    def statuses(self) -> list[int]:
        """The statuses in order."""
        return [answer.status for answer in self.answers]


@dataclass(frozen=True, slots=True)
class Door:
    """Where to connect, and the token to show there.

    `is_proxy`: it may answer in HTTP/0.9 or HTTP/2, too, to who asks for it.
    """

    host: str
    port: int
    token: str
    is_proxy: bool = False


def marked(data: bytes, token: str) -> tuple[bytes, tuple[str, str]]:
    """`data` with the token, and with marks of its own in the places of FIRST and SECOND."""
    first, second = f"{next(_numbers):08x}", f"{next(_numbers):08x}"
    data = data.replace(TOKEN, token.encode())
    return data.replace(FIRST, first.encode()).replace(SECOND, second.encode()), (first, second)


async def say(
    door: Door,
    data: bytes,
    pieces: list[int] | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> Said:
    """Send `data`, cut where `pieces` says; half-close after a silence; read to the end.

    Raises:
        TimeoutError: no end comes.
        ValueError: what came are no answers.
    """
    reader, writer = await asyncio.open_connection(door.host, door.port)
    text, marks = marked(data, door.token)
    said = Said(marks)
    sending = asyncio.create_task(_send(writer, text, pieces or []))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            came = await _receive(reader, writer, sending, quiet_seconds, said)
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    said.answers = answers(came, said.was_reset, door.is_proxy)
    return said


async def _send(writer: asyncio.StreamWriter, text: bytes, pieces: list[int]) -> None:
    for at, end in itertools.pairwise([0, *pieces, len(text)]):
        writer.write(text[at:end])
        await writer.drain()
        await asyncio.sleep(0)


async def _receive(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    sending: asyncio.Task[None],
    quiet_seconds: float,
    said: Said,
) -> bytes:
    came = b""
    try:
        while True:
            try:
                limit = None if said.has_left else quiet_seconds
                part = await asyncio.wait_for(reader.read(1 << 18), limit)
            except TimeoutError:
                if sending.done():
                    said.has_left = True
                    writer.write_eof()
                continue
            if not part:
                return came
            came += part
    except (ConnectionError, OSError):
        said.was_reset = True
        return came


def answers(data: bytes, was_reset: bool = False, is_proxy: bool = False) -> list[Answer]:
    """The answers in `data`; the last may be cut where the connection was reset.

    With `is_proxy` what is no HTTP/1 is one answer of status 0.

    Raises:
        ValueError: they are not well formed.
    """
    found: list[Answer] = []
    while data:
        if is_proxy and not data.startswith(b"HTTP/1."):
            return [*found, Answer(0, {}, data)]
        head, end, data = data.partition(b"\r\n\r\n")
        if not end:
            if was_reset:
                break
            raise ValueError(f"half a head: {head[:200]!r}")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not first.startswith(("HTTP/1.1 ", "HTTP/1.0 ")):
            raise ValueError(f"no answer: {first[:200]!r}")
        status = int(first[9:12])
        if status == 100:
            continue
        pairs = (line.partition(": ") for line in lines)
        fields = {name.lower(): value for name, _, value in pairs}
        body, data = _body(fields, data, was_reset)
        found.append(Answer(status, fields, body))
    return found


def _body(fields: dict[str, str], data: bytes, was_reset: bool) -> tuple[bytes, bytes]:
    if "transfer-encoding" in fields:
        return _chunks(data, was_reset)
    length = int(fields.get("content-length", "0"))
    if not data or data.startswith(b"HTTP/1.1 "):
        return b"", data  # it answers HEAD
    if len(data) < length and not was_reset:
        raise ValueError(f"{len(data)} bytes of a body of {length}")
    return data[:length], data[length:]


def _chunks(data: bytes, was_reset: bool) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            if was_reset:
                return body, b""
            raise ValueError("a chunked body without end")
        size = int(line, 16)
        body += data[:size]
        if data[size : size + 2] != b"\r\n" and not was_reset:
            raise ValueError("a chunk without end")
        data = data[size + 2 :]
        if not size:
            return body, data
