"""The load: callers that never retry, keep their connections and write down what they saw."""

import asyncio
import random
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soak.eventtext import Malformed, last_event
from soak.history import Outcome, Sent
from soak.rawhttp import Connection, Reply

POOL = "ledger"
_QUEUE_SECONDS = 3.0
_PATIENCE_SECONDS = 25.0

_SHAPES: dict[str, float] = {
    "sleep": 72,
    "spin": 6,
    "raise": 5,
    "large": 2,
    "flood": 1,
    "threads": 1,
    "spawn": 1,
    "swallow": 1.5,
    "gil": 1,
    "stop": 1,
    "exit": 1.5,
    "kill": 1.5,
    "hog": 0.4,
}
_STUCK = ("swallow", "gil", "stop", "hog")
_SESSION_SHAPES = {"sleep": 88, "raise": 5, "swallow": 2, "exit": 2, "kill": 2, "gil": 1}


@dataclass(frozen=True, slots=True)
class Target:
    """Where the callers call, and with what token; `unix` instead of the port where it is given."""

    host: str
    port: int
    token: str
    unix: Path | None = None

    def connection(self) -> Connection:
        """A connection of one's own."""
        return Connection(self.host, self.port, self.token, self.unix)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a call is made.

    Attributes:
        leaves_after: seconds until the caller hangs up; None: it waits for the answer.
        accept: what it asks for; an event stream, or anything.
        idle: seconds that it leaves the answer unread.
    """

    leaves_after: float | None = None
    accept: str = "*/*"
    idle: float = 0.0


PLAIN = Manner()


@dataclass(slots=True)
class Log:
    """What all callers saw.

    Attributes:
        sent: one entry for each call.
        opens: how openings of sessions ended, by code.
        causes: the causes of errors, by code and cause.
    """

    sent: list[Sent] = field(default_factory=list)
    opens: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Caller:
    """One caller on one connection; its calls follow from its seed.

    Attributes:
        name: unique; begins its nonces.
        interval_seconds: from the start of one call to that of the next, at least.
    """

    name: str
    target: Target
    log: Log
    interval_seconds: float
    chance: random.Random
    _line: Connection = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self._line = self.target.connection()

    async def call_until(self, end: float) -> None:
        """Single calls, one after the other."""
        await asyncio.sleep(self.chance.uniform(0.0, self.interval_seconds))
        while (began := time.monotonic()) < end:
            await self._single()
            await asyncio.sleep(max(0.0, began + self.interval_seconds - time.monotonic()))
        await self._line.close()

    async def call_once(self, seconds: float) -> None:
        """One call that sleeps so long; half of the callers leave before its answer."""
        leaves_after = self.chance.uniform(0.0, 0.5) if self.chance.random() < 0.5 else None
        path = f"/v1/pools/{POOL}/execute/work"
        args = {"shape": "sleep", "seconds": seconds}
        await self._call(path, args, 5.0, manner=Manner(leaves_after=leaves_after))
        await self._line.close()

    async def hold_sessions_until(self, end: float) -> None:
        """Sessions, one after the other, each with calls that count."""
        while time.monotonic() < end:
            handle = await self._open()
            if handle is None:
                await asyncio.sleep(self.interval_seconds)
                continue
            await self._use(handle, end)
        await self._line.close()

    async def _single(self) -> None:
        chance = self.chance
        shape = chance.choices(list(_SHAPES), list(_SHAPES.values()))[0]
        seconds = chance.uniform(0.0, 0.04)
        timeout = chance.uniform(0.1, 1.5) if shape in _STUCK else 5.0
        if shape == "sleep" and chance.random() < 0.03:
            seconds, timeout = 30.0, chance.uniform(0.1, 1.5)
        path = f"/v1/pools/{POOL}/execute/work"
        args: dict[str, Any] = {"shape": shape, "seconds": seconds}
        if chance.random() < 0.03:
            args["ballast"] = "b" * chance.randint(100_000, 2_000_000)
        manner = Manner(
            leaves_after=chance.uniform(0.0, 0.3) if chance.random() < 0.04 else None,
            accept="text/event-stream" if chance.random() < 0.2 else "*/*",
            idle=chance.uniform(0.1, 1.0) if shape == "large" else 0.0,
        )
        await self._call(path, args, timeout, manner=manner)

    async def _open(self) -> str | None:
        try:
            reply = await asyncio.wait_for(
                self._line.ask("POST", "/v1/sessions", {"pool": POOL, "ttl_seconds": 15}),
                _PATIENCE_SECONDS,
            )
        except ConnectionError:
            self._count(self.log.opens, "reset")
            return None
        except TimeoutError:
            self._count(self.log.opens, "silent")
            return None
        code = "ok" if reply.status == 201 else _text(reply, "code")
        self._count(self.log.opens, code)
        return str(reply.json["session_id"]) if code == "ok" else None

    async def _use(self, handle: str, end: float) -> None:
        name = f"{self.name}-s{self._number}"
        for _ in range(self.chance.randint(10, 60)):
            began = time.monotonic()
            if began >= end:
                break
            shape = self.chance.choices(list(_SESSION_SHAPES), list(_SESSION_SHAPES.values()))[0]
            timeout = self.chance.uniform(0.1, 1.0) if shape in _STUCK else 5.0
            path = f"/v1/sessions/{handle}/execute/tally"
            args = {"shape": shape, "seconds": self.chance.uniform(0.0, 0.02)}
            code = await self._call(path, args, timeout, session=name)
            if code in ("session_lost", "session_not_found", "session_expired"):
                return
            await asyncio.sleep(max(0.0, began + self.interval_seconds - time.monotonic()))
        try:
            await asyncio.wait_for(
                self._line.ask("DELETE", f"/v1/sessions/{handle}"), _PATIENCE_SECONDS
            )
        except (ConnectionError, TimeoutError):
            self._count(self.log.opens, "delete failed")

    async def _call(
        self,
        path: str,
        args: dict[str, Any],
        timeout: float,
        *,
        session: str = "",
        manner: Manner = PLAIN,
    ) -> str:
        self._number += 1
        nonce = f"{self.name}-{self._number}"
        query = f"?timeout={timeout:.3f}&queue_timeout={_QUEUE_SECONDS}"
        allowed = timeout + _QUEUE_SECONDS + manner.idle
        patience = allowed + _PATIENCE_SECONDS
        if manner.leaves_after is not None:
            patience = manner.leaves_after
        reply, code = None, ""
        sent = time.monotonic()
        try:
            asking = self._line.ask(
                "POST",
                path + query,
                {"nonce": nonce, **args},
                accept=manner.accept,
                idle=manner.idle,
            )
            reply = await asyncio.wait_for(asking, patience)
        except ConnectionError:
            code = "reset"
        except TimeoutError:
            code = "silent" if manner.leaves_after is None else "gone"
        times = (sent, time.monotonic(), allowed, timeout)
        entry = replace(_entry(nonce, session, times, reply, code), shape=args["shape"])
        self.log.sent.append(entry)
        if reply is not None and entry.code != "ok":
            self._count(self.log.causes, f"{entry.code}: {_text(reply, 'cause')}")
        return entry.code

    def _count(self, table: dict[str, int], key: str) -> None:
        table[key] = table.get(key, 0) + 1


def _entry(
    nonce: str,
    session: str,
    times: tuple[float, float, float, float],
    reply: Reply | None,
    code: str,
) -> Sent:
    sent, answered, allowed, timeout = times
    if reply is None:
        return Sent(nonce, sent, answered, code, "unknown", allowed, timeout, session=session)
    is_ok, body = _content(reply)
    queued = _queued(reply)
    if queued is not None:
        allowed = min(allowed, allowed - _QUEUE_SECONDS + queued)
    outcome: Outcome = "finished" if is_ok else body.get("outcome", "unknown")
    return Sent(
        nonce=nonce,
        sent=sent,
        answered=answered,
        code="ok" if is_ok else str(body.get("code", f"status {reply.status}")),
        outcome=outcome,
        allowed=allowed,
        timeout=timeout,
        id=reply.fields.get("pythonpool-execution-id", ""),
        echoed=body.get("nonce") if is_ok else None,
        worker=reply.fields.get("pythonpool-worker", ""),
        session=session,
        count=body.get("count") if is_ok else None,
        cause="" if is_ok else str(body.get("cause", "")),
    )


def _queued(reply: Reply) -> float | None:
    """Seconds that the call waited, as its answer says; None when no worker took it."""
    found = re.search(r"queue;dur=([0-9.]+)", reply.fields.get("server-timing", ""))
    return float(found[1]) / 1000 if found else None


def _content(reply: Reply) -> tuple[bool, dict[str, Any]]:
    """Whether the command returned, and the object in the answer, or at the end of its stream."""
    is_ok, body = reply.status == 200, reply.json
    if reply.fields.get("content-type", "").startswith("text/event-stream"):
        try:
            name, body = last_event(reply.body)
        except Malformed as error:
            return False, {"code": f"a stream with {error}"}
        is_ok = name == "result"
    return is_ok, body if isinstance(body, dict) else {}


def _text(reply: Reply, member: str) -> str:
    return str(_content(reply)[1].get(member, ""))
