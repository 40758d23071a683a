"""The frames of link and channel: the one place that knows their bytes.

`docs/concepts/protocols.md` says what they mean. Used by router, agent and executor; no I/O, and
nothing but the standard library, since agents and executors start by the dozen.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1

MAX_PAYLOAD = 65_536
"""Bytes of payload that one frame carries at most."""

WINDOW = 262_144
"""Bytes that may be under way in one direction of a call before CREDIT must come."""

UNKNOWN = 0xFFFFFFFF
"""In place of an age or a length: there is none, or it is not known."""

PING_SECONDS = 2.0
SILENCE_SECONDS = 6.0

_HEADER = struct.Struct(">IBQ")
HEADER_BYTES = _HEADER.size
_BESIDE_PAYLOAD = HEADER_BYTES - 4


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    STATUS = 2
    PING = 3
    PONG = 4
    CONFIG = 5
    ROUTERS = 6
    DRAINING = 7
    FREE = 8
    OFFER = 9
    DECLINE = 10
    LINE = 11
    CALL = 16
    ACCEPT = 17
    REFUSE = 18
    DATA = 19
    END = 20
    BEGIN = 21
    PROGRESS = 22
    CHUNK = 23
    RESULT = 24
    ERROR = 25
    CANCEL = 26
    CANCELLED = 27
    CREDIT = 28
    ASK = 32
    ANSWER = 33
    PID = 40
    READY = 41
    FAILED = 42
    RUN = 43
    SESSION_OPEN = 44
    SESSION_CLOSE = 45
    SNAPSHOT = 46


class Refusal(IntEnum):
    """Why a worker did not take a call."""

    SLOTS = 1
    SESSION_BUSY = 2
    DRAINING = 3
    MEMORY = 4
    SESSIONS_FULL = 5


class CancelReason(IntEnum):
    """Why a router ends a call."""

    CALLER_GONE = 1
    DELETED = 2
    SLOW_BODY = 3


# Flags. Each has one meaning wherever it stands.
MORE = 1
STREAM = 2
SESSION = 4
OPEN = 8
OCTETS = 2
SLOT_FREE = 4
STARTED = 8
TOO_LARGE = 16
RETIRE = 32


class ProtocolError(Exception):
    """The other side broke the rules of frames; close the connection."""


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    """One frame; the caller sees to it that `payload` is at most MAX_PAYLOAD bytes."""
    return _HEADER.pack(_BESIDE_PAYLOAD + len(payload), kind, number) + payload


def header(kind: int, number: int, payload_bytes: int) -> bytes:
    """The head of a frame whose payload is written apart, so that it need not be copied."""
    return _HEADER.pack(_BESIDE_PAYLOAD + payload_bytes, kind, number)


class FrameReader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield `(kind, number, payload)` of every frame that is now whole.

        Iterate to the end: what is left over is kept when the iteration ends.

        Raises:
            ProtocolError: a length outside 9 … 9 + MAX_PAYLOAD.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, size = 0, len(data)
        while size - position >= HEADER_BYTES:
            length, kind, number = _HEADER.unpack_from(data, position)
            payload_bytes = length - _BESIDE_PAYLOAD
            if not 0 <= payload_bytes <= MAX_PAYLOAD:
                raise ProtocolError(f"a frame of {length} bytes")
            start = position + HEADER_BYTES
            end = start + payload_bytes
            if end > size:
                break
            position = end
            yield kind, number, data[start:end]
        if position < size:
            self._rest = data[position:] if position else data


_CALL = struct.Struct(">BIIIIBBBH")
_CALL_FRAME = struct.Struct(">IBQBIIII")
_CALL_NAMES = struct.Struct(">BBBH")
_CALL_TIMES_BYTES = _CALL.size - _CALL_NAMES.size
_CALL_KIND = int(Kind.CALL)


@dataclass(slots=True)
class Call:
    """What a CALL frame says. Times in milliseconds; texts as ASCII or UTF-8 bytes.

    `body` is the body's first part; with MORE in `flags` the rest follows in DATA frames.
    """

    flags: int
    timeout_ms: int
    waited_ms: int
    line_ms: int
    body_bytes: int
    command: bytes
    session: bytes
    traceparent: bytes
    owner: bytes
    body: bytes


def call_head(call: Call) -> bytes:
    """The payload of a CALL frame without its body."""
    return call_start(
        0, 0, call.flags, call.timeout_ms, call.waited_ms, call.line_ms, call.body_bytes,
        call_names(call.command, call.session, call.traceparent, call.owner),
    )[HEADER_BYTES:]  # fmt: skip


def call_start(
    number: int, part_bytes: int, flags: int, timeout_ms: int, waited_ms: int, line_ms: int,
    body_bytes: int, names: bytes,
) -> bytes:  # fmt: skip
    """A CALL frame up to its body, of which it carries `part_bytes`; `names` by `call_names`."""
    length = _BESIDE_PAYLOAD + _CALL_TIMES_BYTES + len(names) + part_bytes
    return _CALL_FRAME.pack(
        length, _CALL_KIND, number, flags, timeout_ms, waited_ms, line_ms, body_bytes
    ) + names  # fmt: skip


def call_names(command: bytes, session: bytes, traceparent: bytes, owner: bytes) -> bytes:
    """The part of a CALL frame that is the same whenever the same call comes again."""
    lengths = _CALL_NAMES.pack(len(command), len(session), len(traceparent), len(owner))
    return b"".join((lengths, command, session, traceparent, owner))


def read_call(payload: bytes) -> Call:
    """The CALL that `payload` spells.

    Raises:
        ProtocolError: it is cut short.
    """
    try:
        flags, timeout, waited, line, length, n1, n2, n3, n4 = _CALL.unpack_from(payload)
    except struct.error:
        raise ProtocolError("a CALL that is cut short") from None
    a = _CALL.size
    b = a + n1
    c = b + n2
    d = c + n3
    e = d + n4
    if e > len(payload):
        raise ProtocolError("a CALL that is cut short")
    return Call(
        flags, timeout, waited, line, length,
        payload[a:b], payload[b:c], payload[c:d], payload[d:e], payload[e:],
    )  # fmt: skip


_RUN = struct.Struct(">BdBBBB")


@dataclass(slots=True)
class Run:
    """What a RUN frame says: one call for an executor.

    `timeout_seconds` is the time that is left to run; `session_id` is empty without a session.
    """

    flags: int
    timeout_seconds: float
    command: bytes
    call_id: bytes
    session_id: bytes
    traceparent: bytes
    body: bytes


def run_head(run: Run) -> bytes:
    """The payload of a RUN frame without its body."""
    return (
        _RUN.pack(
            run.flags,
            run.timeout_seconds,
            len(run.command),
            len(run.call_id),
            len(run.session_id),
            len(run.traceparent),
        )
        + run.command
        + run.call_id
        + run.session_id
        + run.traceparent
    )


def read_run(payload: bytes) -> Run:
    """The RUN that `payload` spells.

    Raises:
        ProtocolError: it is cut short.
    """
    try:
        flags, timeout, n1, n2, n3, n4 = _RUN.unpack_from(payload)
    except struct.error:
        raise ProtocolError("a RUN that is cut short") from None
    a = _RUN.size
    b = a + n1
    c = b + n2
    d = c + n3
    e = d + n4
    if e > len(payload):
        raise ProtocolError("a RUN that is cut short")
    return Run(flags, timeout, payload[a:b], payload[b:c], payload[c:d], payload[d:e], payload[e:])


RESULT_HEAD = struct.Struct(">BII")
"""flags, run_us, total bytes; the body's first part follows."""

END_HEAD = struct.Struct(">BI")
"""flags, run_us; of ERROR (JSON follows) and CANCELLED."""

SNAPSHOT_HEAD = struct.Struct(">BI")
"""flags, total bytes; the state's first part follows."""

LIMITS = struct.Struct(">II")
"""Of CONFIG on a channel: the most bytes of a result, and of a session's state."""

U16 = struct.Struct(">H")
U32 = struct.Struct(">I")


def microseconds(seconds: float) -> int:
    """Seconds as a u32 of microseconds; 71 minutes at most, more is cut."""
    return min(int(seconds * 1e6), UNKNOWN - 1)


def milliseconds(seconds: float) -> int:
    """Seconds as a u32 of milliseconds, rounded up."""
    return min(-int(-seconds * 1000 // 1), UNKNOWN - 1)


def pieces(body: bytes | memoryview, first: int) -> tuple[memoryview, list[memoryview]]:
    """Cut a body: what fits beside `first` bytes of head, then parts of MAX_PAYLOAD each."""
    view = memoryview(body)
    room = MAX_PAYLOAD - first
    rest = [view[at : at + MAX_PAYLOAD] for at in range(room, len(view), MAX_PAYLOAD)]
    return view[:room], rest


def keep_buffers_in_heap() -> None:
    """Spare each read of an event loop three system calls; call it once, at the start.

    asyncio reads into 256 KiB of fresh memory. From that size on glibc's malloc makes a mapping of
    its own, cuts it to what came and gives it back, each time, until it saw a larger one freed.
    """
    bytes(4 * WINDOW)
