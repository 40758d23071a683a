"""The sessions of this worker: owner, TTL, turn, last state, and how each ends.

The worker that holds a session is the judge of it. Knows no frames but OFFER; opening and closing
on an executor is done by `openings`.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pythonpool.clock import Clock, timestamp
from pythonpool.messages import Kind
from pythonpool.names import SessionHandle
from pythonpool_worker.agent.slots import Offer, Slots
from pythonpool_worker.agent.timers import Alarm, Timers
from pythonpool_worker.agent.tombstones import Tombstones

if TYPE_CHECKING:
    from pythonpool_worker.agent.call import Call
    from pythonpool_worker.agent.executors import Executor
    from pythonpool_worker.agent.link import Link
    from pythonpool_worker.agent.settings import Settings

_log = logging.getLogger("pythonpool.agent")

_CAUSES = {
    "timeout": "killed",
    "cancelled": "killed",
    "closed": "killed",
    "memory": "out_of_memory",
    "oom": "out_of_memory",
}


@dataclass(slots=True, eq=False)
class Session:
    """One session. `state` is what it was after the last finished call, None at its beginning."""

    handle: SessionHandle
    owner: str
    context: Any
    ttl_seconds: int
    created_at: float
    expires: float
    turn: "Slots[Link]"
    executor: "Executor | None" = None
    call: "Call | None" = None
    state: bytes | None = None
    is_too_large: bool = False
    is_over: bool = False
    alarm: Alarm | None = None
    offer_alarm: Alarm | None = None


class Sessions:
    """The table of sessions.

    Attributes:
        ends: sessions that ended since the agent's start, by reason.
        close: told of a session that ended, to close it on its executor.
        cancel: told of the running call of a session that was deleted.
        on_change: told when one began or ended.
    """

    def __init__(self, settings: "Settings", timers: Timers, clock: Clock) -> None:
        self.settings = settings
        self.ends: Counter[str] = Counter()
        self.close: Callable[[Session, Executor], None] = _nothing_to_close
        self.cancel: Callable[[Call], None] = _nothing_to_cancel
        self.on_change: Callable[[], None] = _nothing
        self.is_draining = False
        self._timers = timers
        self._clock = clock
        self._all: dict[str, Session] = {}
        self._stones = Tombstones(clock)

    def __len__(self) -> int:
        return len(self._all)

    def new(self, handle: SessionHandle, owner: str, context: Any, ttl_seconds: int) -> Session:
        """A session that is not yet in the table."""
        now = self._clock.monotonic()
        turn: Slots[Link] = Slots(1, self._clock)
        return Session(
            handle, owner, context, ttl_seconds, self._clock.time(), now + ttl_seconds, turn
        )

    def add(self, session: Session) -> None:
        """It is open."""
        self._all[session.handle.secret] = session
        self.renew(session)
        self._watch(session)
        self.on_change()

    def find(self, secret: str, owner: str | None) -> Session:
        """The session of this owner; None asks for anybody's.

        Raises:
            SessionNotFound, SessionExpired, SessionLost: there is none.
        """
        session = self._all.get(secret)
        if session is None:
            raise self._stones.answer(secret, owner)
        if owner not in (session.owner, None):
            raise self._stones.answer("", owner)
        if session.call is None and session.expires <= self._clock.monotonic():
            self.end(session, "expired")
            raise self._stones.answer(secret, owner)
        return session

    def of(self, owner: str | None) -> list[Session]:
        """The sessions of an owner; None: of everybody."""
        return [each for each in self._all.values() if owner in (each.owner, None)]

    def describe(self, session: Session) -> dict[str, Any]:
        """The session object of API.md 2."""
        now = self._clock.monotonic()
        left = session.ttl_seconds if session.call is not None else session.expires - now
        return {
            "session_id": str(session.handle),
            "pool": session.handle.pool,
            "worker": session.handle.worker,
            "created_at": timestamp(session.created_at),
            "expires_at": timestamp(self._clock.time() + left),
            "ttl_seconds": session.ttl_seconds,
            "context": session.context,
            "draining": self.is_draining,
        }

    def renew(self, session: Session) -> None:
        """A call has reached the worker: the TTL counts anew."""
        session.expires = self._clock.monotonic() + session.ttl_seconds

    def begin(self, call: "Call", session: Session) -> None:
        """The call has the session's turn."""
        call.session = session
        session.call = call

    def call_is_over(self, call: "Call") -> None:
        """The call gives its turn back; the TTL counts from now."""
        session = call.session
        if session is None or session.call is not call:
            return
        session.call = None
        session.turn.give_back(None)
        if session.is_over:
            self._close(session)
        else:
            self.renew(session)
            self.publish(session)
            self.on_change()

    def keep_state(self, call: "Call") -> None:
        """The call has finished: what it left is the session's state now."""
        session = call.session
        if session is None:
            return
        if call.too_large:
            session.is_too_large = True
            session.state = None
        elif call.snapshot is not None:
            session.is_too_large = False
            session.state = b"".join(call.snapshot)
        call.snapshot = None

    def executor_gone(self, executor: "Executor", why: str) -> None:
        """Sessions on it go on from their last state at the next call, or are lost."""
        for session in list(executor.sessions):
            session.executor = None
            if session.is_too_large:
                self.end(session, "lost", "state_too_large")
            elif not self.settings.keeps_state:
                self.end(session, "lost", _CAUSES.get(why, "crashed"))
        executor.sessions.clear()

    def delete(self, session: Session) -> None:
        """By its owner: a running call is cancelled, those that wait find it gone."""
        call = session.call
        self.end(session, "deleted")
        if call is not None:
            self.cancel(call)

    def end(self, session: Session, reason: str, cause: str | None = None) -> None:
        """It is over: `deleted`, `expired` or `lost` with a cause."""
        secret = session.handle.secret
        if session.is_over or self._all.pop(secret, None) is None:
            return
        session.is_over = True
        if session.alarm is not None:
            session.alarm.cancel()
        self.ends[cause or reason] += 1
        self._stones.put(secret, session.owner, reason, cause, self.settings.max_ttl_seconds)
        for router in session.turn.waiting():
            router.send(Kind.OFFER, 0, b"\1" + secret.encode())
        if session.call is None:
            self._close(session)
        self.on_change()

    def end_all(self, cause: str) -> None:
        """All are lost."""
        for session in list(self._all.values()):
            self.end(session, "lost", cause)

    def end_idle(self, cause: str) -> None:
        """Those without a running call are lost."""
        for session in list(self._all.values()):
            if session.call is None:
                self.end(session, "lost", cause)

    def decline(self, router: "Link", secret: str) -> None:
        """A router does not use the offer of a session."""
        session = self._all.get(secret)
        if session is not None:
            session.turn.decline(router)
            self.publish(session)

    def forget(self, router: "Link") -> None:
        """A router is gone: no session waits for it."""
        for session in self._all.values():
            session.turn.forget(router)
            self.publish(session)

    def publish(self, session: Session) -> None:
        """Tell the routers that wait for this session."""
        turn = session.turn
        news, turn.news = turn.news, []
        for each in news:
            if isinstance(each, Offer):
                each.router.send(Kind.OFFER, 0, b"\1" + session.handle.secret.encode())
        expiry = turn.next_expiry
        if expiry is not None and session.offer_alarm is None:
            session.offer_alarm = self._timers.at(expiry, self._offer_expired, session)

    def _offer_expired(self, session: Session) -> None:
        session.offer_alarm = None
        session.turn.expire()
        self.publish(session)

    def _watch(self, session: Session) -> None:
        session.alarm = self._timers.at(session.expires, self._look_at_ttl, session)

    def _look_at_ttl(self, session: Session) -> None:
        if session.call is not None:
            # It is counted anew from the call's end.
            session.alarm = self._timers.after(session.ttl_seconds, self._look_at_ttl, session)
        elif session.expires <= self._clock.monotonic():
            self.end(session, "expired")
        else:
            self._watch(session)

    def _close(self, session: Session) -> None:
        executor, session.executor = session.executor, None
        if executor is not None:
            executor.sessions.discard(session)
            self.close(session, executor)


def _nothing_to_close(_session: Session, _executor: "Executor") -> None:
    """Until somebody can."""


def _nothing_to_cancel(_call: "Call") -> None:
    """Until somebody can."""


def _nothing() -> None:
    """Until somebody wants to know."""
