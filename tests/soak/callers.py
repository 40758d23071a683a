"""The load: callers that never retry, keep their connections and write down what they saw."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.entry import Asked, entry, text
from soak.history import Sent
from soak.plan import Plan
from soak.rawhttp import Connection

POOL = "ledger"
_QUEUE_SECONDS = 3.0
_PATIENCE_SECONDS = 25.0
_GONE = (204, 404, 410)
_DELETIONS = 5
_DELETE_AGAIN_SECONDS = 1.0

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
ZOO = ("spin", "sleep", "swallow", "gil", "c-call", "deaf", "stop", "child", "setsid", "daemon")
"""All that does not come back by itself; those that could are asked to take their time."""

_NEVER = ("c-call", "deaf", "child", "setsid", "daemon")
_DEADLY = ("exit", "kill")
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
        queue: seconds that it is ready to wait.
        ballast: bytes by which the request is longer.
    """

    leaves_after: float | None = None
    accept: str = "*/*"
    idle: float = 0.0
    queue: float = _QUEUE_SECONDS
    ballast: int = 0


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
    plan: Plan = field(default_factory=Plan)
    _line: Connection = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self._line = self.target.connection()

    async def call_until(self, end: float, longest: float | None = None) -> None:
        """Single calls, one after the other; of all shapes, or sleeping up to `longest` s."""
        await asyncio.sleep(self.chance.uniform(0.0, self.interval_seconds))
        while (began := time.monotonic()) < end:
            if longest is None:
                await self._single()
            else:
                await self.work("sleep", self.chance.uniform(0.0, longest), 5.0)
            await asyncio.sleep(max(0.0, began + self.interval_seconds - time.monotonic()))
        await self._line.close()

    async def call_once(self, seconds: float) -> None:
        """One call that sleeps so long; half of the callers leave before its answer."""
        leaves_after = self.chance.uniform(0.0, 0.5) if self.chance.random() < 0.5 else None
        await self.work("sleep", seconds, 5.0, Manner(leaves_after=leaves_after))
        await self.close()

    async def hold_sessions_until(self, end: float) -> None:
        """Sessions, one after the other, each with calls that count."""
        while time.monotonic() < end:
            handle = await self.open()
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
        manner = Manner(
            ballast=chance.randint(100_000, 2_000_000) if chance.random() < 0.03 else 0,
            leaves_after=chance.uniform(0.0, 0.3) if chance.random() < 0.04 else None,
            accept="text/event-stream" if chance.random() < 0.2 else "*/*",
            idle=chance.uniform(0.1, 1.0) if shape == "large" else 0.0,
        )
        await self.work(shape, seconds, timeout, manner)

    async def work(
        self, shape: str, seconds: float, timeout: float, manner: Manner = PLAIN
    ) -> Sent:
        """One single call; what came of it, which is in the log too."""
        args: dict[str, Any] = {"shape": shape, "seconds": seconds}
        if manner.ballast:
            args["ballast"] = "b" * manner.ballast
        path = f"/v1/pools/{POOL}/execute/{self.plan.command}"
        return await self._call(path, args, timeout, manner=manner)

    async def tally(
        self, handle: str, name: str, shape: str, seconds: float, timeout: float
    ) -> Sent:
        """One call that counts in a session; `name` is the session's in this soak."""
        path = f"/v1/sessions/{handle}/execute/tally"
        return await self._call(path, {"shape": shape, "seconds": seconds}, timeout, session=name)

    async def close(self) -> None:
        """Hang up."""
        await self._line.close()

    async def open(self, ttl_seconds: int = 60) -> str | None:
        """A new session's id; None when it was refused."""
        try:
            reply = await asyncio.wait_for(
                self._line.ask("POST", "/v1/sessions", {"pool": POOL, "ttl_seconds": ttl_seconds}),
                _PATIENCE_SECONDS,
            )
        except ConnectionError:
            self._count(self.log.opens, "reset")
            return None
        except TimeoutError:
            self._count(self.log.opens, "silent")
            return None
        code = "ok" if reply.status == 201 else text(reply, "code")
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
            seconds = self.chance.uniform(0.0, 0.02)
            code = (await self.tally(handle, name, shape, seconds, timeout)).code
            if code in ("session_lost", "session_not_found", "session_expired"):
                return
            await asyncio.sleep(max(0.0, began + self.interval_seconds - time.monotonic()))
        await self.delete(handle)

    async def delete(self, handle: str) -> None:
        """End a session; asked again where router or link broke before the worker's word."""
        for _ in range(_DELETIONS):
            try:
                asking = self._line.ask("DELETE", f"/v1/sessions/{handle}")
                if (await asyncio.wait_for(asking, _PATIENCE_SECONDS)).status in _GONE:
                    return
            except (ConnectionError, TimeoutError):
                pass
            await asyncio.sleep(_DELETE_AGAIN_SECONDS)
        self._count(self.log.opens, "delete failed")

    async def _call(
        self,
        path: str,
        args: dict[str, Any],
        timeout: float,
        *,
        session: str = "",
        manner: Manner = PLAIN,
    ) -> Sent:
        self._number += 1
        again = self.plan.is_idempotent and not session
        asked = Asked(
            nonce=f"{self.name}-{self._number}",
            session=session,
            shape=args["shape"],
            sent=time.monotonic(),
            queue=manner.queue,
            timeout=timeout,
            more=self.plan.line_seconds + timeout if again else 0.0,
            idle=manner.idle,
            ends_itself=args["shape"] not in (*_STUCK, *_DEADLY, *_NEVER)
            and args["seconds"] < timeout / 2,
            is_idempotent=again,
        )
        patience = asked.allowed + _PATIENCE_SECONDS
        if manner.leaves_after is not None:
            patience = manner.leaves_after
        query = f"?timeout={timeout:.3f}&queue_timeout={manner.queue}"
        reply, code = None, ""
        try:
            body = {"nonce": asked.nonce, **args}
            asking = self._line.ask(
                "POST", path + query, body, accept=manner.accept, idle=manner.idle
            )
            reply = await asyncio.wait_for(asking, patience)
        except asyncio.CancelledError:
            self.log.sent.append(entry(asked, time.monotonic(), None, "gone"))
            raise
        except ConnectionError:
            code = "reset"
        except TimeoutError:
            code = "silent" if manner.leaves_after is None else "gone"
        sent = entry(asked, time.monotonic(), reply, code)
        self.log.sent.append(sent)
        if reply is not None and sent.code != "ok":
            self._count(self.log.causes, f"{sent.code}: {sent.cause}")
        return sent

    def _count(self, table: dict[str, int], key: str) -> None:
        table[key] = table.get(key, 0) + 1
