"""A caller that is quick: one kept connection, one call at a time, only what it must look at."""

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from soak.callers import POOL, Target

_QUEUE = re.compile(rb"queue;dur=([0-9.]+)")
_LENGTH = re.compile(rb"[Cc]ontent-[Ll]ength: (\d+)")
_LATE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Quick:
    """One call: it sleeps for `seconds` and may run for `timeout`."""

    number: int
    seconds: float
    timeout: float


@dataclass(slots=True)
class Tally:
    """What all quick callers saw.

    Attributes:
        codes: how calls ended.
        wrong: answers that were another's.
        done: numbers of the calls that were answered with 200.
        late: when a late answer was due and when it came.
    """

    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: bytearray = field(default_factory=bytearray)
    late: list[tuple[int, float, float]] = field(default_factory=list)


class FastCaller(asyncio.Protocol):
    """Asks, waits, looks, asks again; hangs up when there is nothing more to ask."""

    def __init__(self, target: Target, tally: Tally) -> None:
        self._tally = tally
        self._fixed = (
            f" HTTP/1.1\r\nHost: {target.host}\r\nAuthorization: Bearer {target.token}\r\n"
        ).encode()
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self._bytes = b""
        self._transport: asyncio.Transport | None = None

    async def ask(self, call: Quick) -> None:
        """One call; what came of it is in the tally."""
        assert self._transport is not None
        body = b'{"number":%d,"seconds":%.4f}' % (call.number, call.seconds)
        path = b"POST /v1/pools/%s/execute/quick?timeout=%.3f" % (POOL.encode(), call.timeout)
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        self._answer = asyncio.get_running_loop().create_future()
        sent = time.monotonic()
        self._transport.write(path + self._fixed + length + body)
        head, content = await self._answer
        self._look(call, sent, head, content)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to ask."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Gather one answer."""
        self._bytes += data
        head, end, body = self._bytes.partition(b"\r\n\r\n")
        found = _LENGTH.search(head) if end else None
        if found and len(body) >= int(found[1]) and self._answer and not self._answer.done():
            self._bytes = b""
            self._answer.set_result((head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits knows it."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the connection was lost"))

    def _look(self, call: Quick, sent: float, head: bytes, body: bytes) -> None:
        now, tally = time.monotonic(), self._tally
        if head.startswith(b"HTTP/1.1 200"):
            tally.codes["ok"] += 1
            tally.done[call.number] = 1
            if body != b"%d" % call.number:
                tally.wrong.append(f"call {call.number} was answered with {body[:80]!r}")
        else:
            tally.codes[str(json.loads(body).get("code"))] += 1
        queued = _QUEUE.search(head)
        if queued is not None:
            due = sent + float(queued[1]) / 1000 + call.timeout
            if now > due + _LATE_SECONDS:
                tally.late.append((call.number, due, now))
