"""Where calls come in: judged, given a slot or refused, their args gathered."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pythonpool.clock import Clock
from pythonpool.errors import PythonPoolError
from pythonpool.messages import (
    MORE,
    OPEN,
    SESSION,
    U32,
    UNKNOWN,
    WINDOW,
    Kind,
    ProtocolError,
    Refusal,
    read_call,
)
from pythonpool.messages import Call as CallFrame
from pythonpool_worker.agent.call import Call, Phase
from pythonpool_worker.agent.endings import Endings
from pythonpool_worker.agent.executors import Executors
from pythonpool_worker.agent.running import Running
from pythonpool_worker.agent.slots import Slots
from pythonpool_worker.agent.timers import Timers

if TYPE_CHECKING:
    from pythonpool_worker.agent.link import Link
    from pythonpool_worker.agent.openings import Openings
    from pythonpool_worker.agent.sessions import Session, Sessions

_log = logging.getLogger("pythonpool.agent")


class Intake:
    """Takes calls in. `is_draining`: only calls of own sessions are taken."""

    def __init__(
        self,
        slots: "Slots[Link]",
        executors: Executors,
        running: Running,
        endings: Endings,
        sessions: "Sessions",
        openings: "Openings",
        timers: Timers,
        clock: Clock,
        numbers: Callable[[], int],
    ) -> None:
        self.is_draining = False
        self.on_call: Callable[[], None] = _nothing
        self._slots = slots
        self._executors = executors
        self._running = running
        self._endings = endings
        self._sessions = sessions
        self._openings = openings
        self._timers = timers
        self._clock = clock
        self._numbers = numbers

    def call(self, link: "Link", number: int, payload: bytes) -> None:
        """A CALL frame: REFUSE, or the slot is taken and the call goes on."""
        if number <= link.last_number:
            raise ProtocolError(f"call {number} after call {link.last_number}")
        link.last_number = number
        said = read_call(payload)
        session: Session | None = None
        if said.flags & SESSION:
            try:
                session = self._sessions.find(said.session.decode(), said.owner.decode())
            except PythonPoolError as error:
                self._endings.error(self._new(link, number, said), error)
                return
        refusal = self._judge(link, said, session)
        if refusal is not None:
            link.send(Kind.REFUSE, number, bytes((refusal,)))
        else:
            self._accept(self._new(link, number, said), link, said, session)
        self._endings.settle()

    def data(self, link: "Link", number: int, payload: bytes) -> None:
        """A further part of a call's args."""
        call = link.calls.get(number)
        if call is None or call.phase is not Phase.BODY:
            return
        call.body.append(payload)
        call.body_bytes += len(payload)
        call.credited += len(payload)
        if call.credited >= WINDOW // 4:
            link.send(Kind.CREDIT, number, U32.pack(call.credited))
            call.credited = 0

    def end(self, link: "Link", number: int) -> None:
        """The args are whole."""
        call = link.calls.get(number)
        if call is not None and call.phase is Phase.BODY:
            self._begin(call)

    def own_call(self, command: str, args: bytes, timeout: float) -> Call:
        """A call of the agent's own, without a slot: a warm-up."""
        own = self._numbers()
        call = Call(None, own, own, 0)
        call.command = command.encode()
        call.body = [args]
        call.timeout = timeout
        call.taken_at = self._clock.monotonic()
        call.phase = Phase.QUEUED
        call.alarm = self._timers.after(timeout, self._endings.deadline, call)
        return call

    def _judge(self, link: "Link", said: CallFrame, session: "Session | None") -> Refusal | None:
        waited = said.waited_ms / 1000
        line = None if said.line_ms == UNKNOWN else said.line_ms / 1000
        if session is None and self.is_draining:
            return Refusal.DRAINING
        if said.flags & OPEN:
            refusal = self._openings.refusal()
            if refusal is not None:
                return refusal
        if session is not None:
            if not session.turn.allows(link):
                session.turn.deny(link, waited)
                return Refusal.SESSION_BUSY
            self._sessions.renew(session)
        if not self._slots.take(link, waited, line):
            return Refusal.SLOTS
        if session is not None:
            session.turn.take(link, waited, None)
        return None

    def _new(self, link: "Link", number: int, said: CallFrame) -> Call:
        call = Call(link, number, self._numbers(), said.flags)
        call.command = said.command
        call.traceparent = said.traceparent
        call.owner = said.owner
        call.timeout = said.timeout_ms / 1000
        return call

    def _accept(self, call: Call, link: "Link", said: CallFrame, session: "Session | None") -> None:
        call.has_slot = True
        call.taken_at = self._clock.monotonic()
        call.alarm = self._timers.at(call.taken_at + call.timeout, self._endings.deadline, call)
        link.calls[call.number] = call
        self.on_call()
        if said.body:
            call.body.append(said.body)
            call.body_bytes = len(said.body)
        if session is not None:
            call.session = session
            self._sessions.begin(call, session)
        if said.flags & MORE:
            link.send(Kind.ACCEPT, call.number)
        else:
            self._begin(call)

    def _begin(self, call: Call) -> None:
        """The args are whole: find an executor."""
        call.phase = Phase.QUEUED
        if call.flags & OPEN:
            self._openings.open(call)
        elif call.session is not None:
            self._openings.enter(call, call.session)
        else:
            executor = self._executors.take_now()
            if executor is not None:
                self._running.run(call, executor)
            else:
                call.taker = partial(self._running.run, call)
                self._executors.wait(call.taker)


def _nothing() -> None:
    """Until somebody wants to know."""
