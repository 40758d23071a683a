"""Sessions on executors: opened, loaded again after a kill, closed."""

import base64
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from pythonpool.clock import Clock
from pythonpool.errors import InvalidArgument, PythonPoolError, ResourceExhausted
from pythonpool.messages import (
    MAX_PAYLOAD,
    MORE,
    RESULT_HEAD,
    SNAPSHOT_HEAD,
    Kind,
    Refusal,
    frame,
    microseconds,
)
from pythonpool.names import SessionHandle
from pythonpool_worker.agent.call import Call, Phase
from pythonpool_worker.agent.endings import Endings
from pythonpool_worker.agent.executors import Death, Executor, Executors, Kill
from pythonpool_worker.agent.judging import check_error, must_be
from pythonpool_worker.agent.running import Running, begin_snapshot, more_snapshot
from pythonpool_worker.agent.sessions import Session, Sessions
from pythonpool_worker.agent.settings import Identity, Settings
from pythonpool_worker.agent.timers import Timers

_log = logging.getLogger("pythonpool.agent")

_CLOSE_SECONDS = 2.0
_RETRY_MS = 1000


class _Opening:
    """SESSION_OPEN as its executor's errand; `then` gets the ERROR's payload, or None.

    `most`: bytes of a state that is kept.
    """

    __slots__ = ("_call", "_endings", "_most", "_then")

    def __init__(
        self,
        call: Call,
        most: int,
        endings: Endings,
        then: Callable[[bytes | None], None],
    ) -> None:
        self._call = call
        self._most = most
        self._endings = endings
        self._then = then

    def frame(self, kind: int, payload: bytes) -> None:
        call = self._call
        if kind == Kind.SNAPSHOT:
            must_be(
                len(payload) >= SNAPSHOT_HEAD.size and not call.gathers, "a SNAPSHOT out of place"
            )
            begin_snapshot(call, payload)
        elif kind == Kind.DATA:
            must_be(bool(call.gathers and payload), "DATA out of place")
            call.gathered += len(payload)
            more_snapshot(call, payload, self._most)
        elif kind == Kind.END:
            call.gathers = 0
        elif kind == Kind.RESULT:
            must_be(not call.gathers, "a RESULT out of place")
            self._then(None)
        elif kind == Kind.ERROR:
            check_error(payload)
            self._then(payload)

    def killed(self, kill: Kill) -> None:
        self._endings.killed(self._call, kill)

    def died(self, death: Death) -> None:
        self._endings.died(self._call, death)


class _Closing:
    """SESSION_CLOSE as its executor's errand: whatever comes, it is over."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def frame(self, kind: int, payload: bytes) -> None:
        if kind in (Kind.RESULT, Kind.ERROR):
            self._then()

    def killed(self, kill: Kill) -> None:
        """Nothing is left to close."""

    def died(self, death: Death) -> None:
        """Nothing is left to close."""


class Openings:
    """Opens sessions, brings them back and closes them. `is_short`: memory allows no more."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        executors: Executors,
        sessions: Sessions,
        running: Running,
        endings: Endings,
        timers: Timers,
        clock: Clock,
        numbers: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.is_short = False
        self._identity = identity
        self._executors = executors
        self._sessions = sessions
        self._running = running
        self._endings = endings
        self._timers = timers
        self._clock = clock
        self._numbers = numbers
        self._opening: list[Call] = []
        sessions.close = self.close

    @property
    def room(self) -> int:
        """Sessions that could be opened now."""
        self._opening = [call for call in self._opening if call.phase is not Phase.OVER]
        taken = len(self._sessions) + len(self._opening)
        return max(0, self.settings.max_sessions - taken)

    def refusal(self) -> Refusal | None:
        """Why no session can be opened now, or None."""
        if not self.room:
            return Refusal.SESSIONS_FULL
        if self._executors.is_lacking:  # those that are left are for calls
            return Refusal.SESSIONS_FULL
        return Refusal.MEMORY if self.is_short else None

    def open(self, call: Call) -> None:
        """A call that opens a session; its body is whole."""
        try:
            ttl, context = self._asked(b"".join(call.body))
        except PythonPoolError as error:
            self._endings.error(call, error)
            return
        self._opening.append(call)
        identity = self._identity
        handle = SessionHandle.new(identity.pool, identity.worker, identity.incarnation)
        session = self._sessions.new(handle, call.owner.decode(), context, ttl)
        self._load(call, session, self._opened, spare=True)

    def refuse_waiting(self, why: str) -> None:
        """No executor can start now: nobody waits for one of his own."""
        for call in [each for each in self._opening if each.phase is Phase.QUEUED]:
            if call.taker is not None:
                self._executors.leave(call.taker)
            error = ResourceExhausted(
                f"there is no room for another session: {why}",
                cause="sessions_full",
                retry_after_ms=_RETRY_MS,
            )
            self._endings.error(call, error)

    def enter(self, call: Call, session: Session) -> None:
        """A call of a session: on its executor, or first in a fresh one with its last state."""
        if session.executor is not None:
            self._running.run(call, session.executor)
        else:
            self._load(call, session, self._restored)

    def close(self, session: Session, executor: Executor) -> None:
        """Close a session on its executor, best effort, and end an executor of its own."""
        if executor.ending:
            return
        own = self._numbers()
        over = partial(self._closed, executor, own)
        executor.errands[own] = _Closing(over)
        text = str(session.handle).encode()
        executor.channel.send(frame(Kind.SESSION_CLOSE, own, bytes((len(text),)) + text))
        self._timers.after(_CLOSE_SECONDS, lambda _: over())

    def _closed(self, executor: Executor, own: int) -> None:
        if executor.errands.pop(own, None) is not None and executor.is_own:
            self._executors.kill(executor, "closed")

    def _asked(self, body: bytes) -> tuple[int, Any]:
        try:
            asked = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as error:
            raise InvalidArgument(f"the body is not JSON: {error}") from None
        if not isinstance(asked, dict):
            raise InvalidArgument("the body must be a JSON object")
        ttl = asked.get("ttl_seconds")
        most = self.settings.max_ttl_seconds
        if ttl is None:
            ttl = self.settings.ttl_seconds
        if isinstance(ttl, float) and ttl.is_integer():
            ttl = int(ttl)
        if not isinstance(ttl, int) or isinstance(ttl, bool) or not 1 <= ttl <= most:
            raise InvalidArgument(
                f"ttl_seconds is {ttl!r}; it must be a whole number from 1 to {most}"
            )
        context = asked.get("context", {})
        if not isinstance(context, dict):
            raise InvalidArgument("context must be a JSON object")
        return ttl, context

    def _load(
        self,
        call: Call,
        session: Session,
        then: Callable[[Call, Session, Executor, bytes | None], None],
        *,
        spare: bool = False,
    ) -> None:
        """With `spare` the slots keep their executors: a new session waits for one more."""
        executor = self._executors.take_now(spare=spare)
        if executor is not None:
            self._send_open(call, session, then, executor)
        else:
            call.taker = partial(self._send_open, call, session, then)
            self._executors.wait(call.taker, spare=spare)

    def _send_open(
        self,
        call: Call,
        session: Session,
        then: Callable[[Call, Session, Executor, bytes | None], None],
        executor: Executor,
    ) -> None:
        self._executors.keep(executor)
        call.executor = executor
        call.phase = Phase.RUNNING
        call.started_at = self._clock.monotonic()
        executor.errands[call.own] = _Opening(
            call, self.settings.state_bytes, self._endings, partial(then, call, session, executor)
        )
        state = base64.b64encode(session.state).decode() if session.state is not None else None
        asked = {"session_id": str(session.handle), "context": session.context, "snapshot": state}
        _send_long(executor, call.own, orjson.dumps(asked))

    def _opened(
        self, call: Call, session: Session, executor: Executor, error: bytes | None
    ) -> None:
        executor.errands.pop(call.own, None)
        if error is not None or call.is_cancelled:
            if error is not None:
                self._give_up(executor)
                self._endings.error_frame(call, error)
            else:
                self.close(session, executor)
                self._endings.cancelled(call)
            return
        call.session = session
        self._sessions.keep_state(call)
        call.session = None
        self._settle_in(session, executor)
        self._sessions.add(session)
        text = orjson.dumps(self._sessions.describe(session))
        run_us = microseconds(self._clock.monotonic() - call.started_at)
        room = MAX_PAYLOAD - RESULT_HEAD.size
        more = MORE if len(text) > room else 0
        first = RESULT_HEAD.pack(more, run_us, len(text)) + text[:room]
        rest = [text[at : at + MAX_PAYLOAD] for at in range(room, len(text), MAX_PAYLOAD)]
        self._endings.result(call, first, rest)

    def _restored(
        self, call: Call, session: Session, executor: Executor, error: bytes | None
    ) -> None:
        executor.errands.pop(call.own, None)
        if error is not None:
            self._give_up(executor)
            self._sessions.end(session, "lost", "load_failed")
            self._endings.error_frame(call, error)
        elif session.is_over or call.is_cancelled:
            self.close(session, executor)
            self._endings.cancelled(call)
        else:
            call.snapshot = None
            self._settle_in(session, executor)
            self._running.run(call, executor)

    def _settle_in(self, session: Session, executor: Executor) -> None:
        session.executor = executor
        executor.sessions.add(session)

    def _give_up(self, executor: Executor) -> None:
        if executor.is_own:
            self._executors.kill(executor, "closed")


def _send_long(executor: Executor, own: int, text: bytes) -> None:
    channel = executor.channel
    room = MAX_PAYLOAD - 1
    if len(text) <= room:
        channel.send(frame(Kind.SESSION_OPEN, own, b"\0" + text))
        return
    channel.send(frame(Kind.SESSION_OPEN, own, bytes((MORE,)) + text[:room]))
    for at in range(room, len(text), MAX_PAYLOAD):
        channel.send(frame(Kind.DATA, own, text[at : at + MAX_PAYLOAD]))
    channel.send(frame(Kind.END, own))
