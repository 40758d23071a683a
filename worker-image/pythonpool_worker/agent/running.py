"""A call on its executor: RUN goes out, frames come back and are passed on as they are."""

import logging
from typing import TYPE_CHECKING

from pythonpool.clock import Clock
from pythonpool.errors import ResultTooLarge
from pythonpool.messages import (
    MORE,
    RESULT_HEAD,
    RETIRE,
    SNAPSHOT_HEAD,
    STREAM,
    TOO_LARGE,
    Kind,
    Run,
    frame,
    header,
    run_head,
)
from pythonpool.names import execution_id
from pythonpool_worker.agent.call import Call, Phase
from pythonpool_worker.agent.delivery import HIGH_WATER, Delivery
from pythonpool_worker.agent.endings import Endings
from pythonpool_worker.agent.executors import Death, Executor, Executors, Kill
from pythonpool_worker.agent.judging import Allowance, check_error, check_progress, must_be
from pythonpool_worker.agent.settings import Settings

if TYPE_CHECKING:
    from pythonpool_worker.agent.link import Link
    from pythonpool_worker.agent.sessions import Sessions

_log = logging.getLogger("pythonpool.agent")


class CallErrand:
    """A call as its executor's errand: frames to Running, ends to Endings."""

    __slots__ = ("_call", "_endings", "_running")

    def __init__(self, call: Call, running: "Running", endings: Endings) -> None:
        self._call = call
        self._running = running
        self._endings = endings

    def frame(self, kind: int, payload: bytes) -> None:
        """A frame of the executor."""
        self._running.frame(self._call, kind, payload)

    def killed(self, kill: Kill) -> None:
        """Killed on our word."""
        self._endings.killed(self._call, kill)

    def died(self, death: Death) -> None:
        """Died by itself."""
        self._endings.died(self._call, death)


class Running:
    """Runs calls on executors."""

    def __init__(
        self,
        settings: Settings,
        identity_of_own_calls: str,
        executors: Executors,
        sessions: "Sessions",
        endings: Endings,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._sessions = sessions
        self._own_router = identity_of_own_calls
        self._executors = executors
        self._endings = endings
        self._clock = clock

    def run(self, call: Call, executor: Executor) -> None:
        """Send RUN; the call has its slot, its args are whole, `executor` is there for it."""
        call.executor = executor
        call.phase = Phase.RUNNING
        now = self._clock.monotonic()
        call.started_at = now
        executor.errands[call.own] = CallErrand(call, self, self._endings)
        self._send_run(call, executor, max(0.001, call.taken_at + call.timeout - now))
        call.body = []

    def frame(self, call: Call, kind: int, payload: bytes) -> None:
        """A frame of the executor for this call.

        Raises:
            ProtocolError, ValueError, IndexError: it is not one, or out of place.
        """
        if kind == Kind.RESULT:
            must_be(len(payload) >= RESULT_HEAD.size and not call.gathers, "a RESULT out of place")
            if payload[0] & MORE:
                self._gather_result(call, payload)
            else:
                self._finished(call, payload, [])
        elif kind == Kind.ERROR:
            must_be(not call.gathers, "an ERROR out of place")
            check_error(payload)
            self._failed(call, payload)
        elif kind == Kind.DATA:
            self._data(call, payload)
        elif kind == Kind.END:
            self._end(call)
        elif kind == Kind.SNAPSHOT:
            must_be(
                len(payload) >= SNAPSHOT_HEAD.size and not call.gathers, "a SNAPSHOT out of place"
            )
            begin_snapshot(call, payload)
        elif kind in (Kind.BEGIN, Kind.PROGRESS, Kind.CHUNK):
            self._stream(call, kind, payload)

    def _send_run(self, call: Call, executor: Executor, timeout: float) -> None:
        router = call.link.router if call.link is not None else self._own_router
        parts = call.body
        session = str(call.session.handle).encode() if call.session is not None else b""
        more = len(parts) > 1
        head = run_head(
            Run(
                (call.flags & STREAM) | (MORE if more else 0),
                timeout,
                call.command,
                execution_id(router, call.number).encode(),
                session,
                call.traceparent,
                b"",
            )
        )
        channel = executor.channel
        first = parts[0] if parts else b""
        if not more and len(head) + len(first) <= _FITS:
            channel.send(header(Kind.RUN, call.own, len(head) + len(first)), head, first)
            return
        _send_parts(channel.send, call.own, head, parts)

    def _gather_result(self, call: Call, payload: bytes) -> None:
        total = int.from_bytes(payload[5:9], "big")
        if total > self.settings.result_bytes:
            self._too_large(call, total)
            return
        call.first, call.rest, call.gathers, call.gathered = payload, [], Kind.RESULT, len(payload)

    def _data(self, call: Call, payload: bytes) -> None:
        must_be(bool(call.gathers and payload), "DATA out of place")
        call.gathered += len(payload)
        if call.gathers == Kind.RESULT:
            call.rest.append(payload)
            if call.gathered > self.settings.result_bytes + RESULT_HEAD.size:
                self._too_large(call, call.gathered - RESULT_HEAD.size)
        elif call.gathers == Kind.SNAPSHOT:
            more_snapshot(call, payload, self.settings.state_bytes)
        else:
            self._pass(call, Kind.DATA, payload)

    def _end(self, call: Call) -> None:
        must_be(bool(call.gathers), "an END out of place")
        gathered, call.gathers = call.gathers, 0
        if gathered == Kind.RESULT:
            first, rest = call.first, call.rest
            call.first, call.rest = b"", []
            self._finished(call, first, rest)
        elif gathered == Kind.CHUNK:
            self._pass(call, Kind.END, b"")

    def _stream(self, call: Call, kind: int, payload: bytes) -> None:
        if not call.flags & STREAM:
            return
        now = self._clock.monotonic()
        if kind == Kind.BEGIN:
            must_be(call.allowance is None, "a second BEGIN")
            call.allowance = Allowance(now)
            self._pass(call, kind, payload)
            return
        allowance = call.allowance
        must_be(allowance is not None, "a stream that has not begun")
        if kind == Kind.CHUNK:
            must_be(not call.gathers, "a CHUNK out of place")
            call.gathers = Kind.CHUNK if payload[0] & MORE else 0
            self._pass(call, kind, payload)
        elif allowance is not None and not call.gathers and allowance.spend(now):
            check_progress(payload)
            self._pass(call, kind, payload)

    def _pass(self, call: Call, kind: int, payload: bytes) -> None:
        link = call.link
        if link is None or call.is_abandoned or call.is_cancelled or not call.flags & STREAM:
            return
        delivery = call.delivery
        if delivery is None:
            delivery = call.delivery = Delivery(link, call.number, self._clock.monotonic())
            link.deliveries[call.number] = delivery
        delivery.put(kind, payload)
        if delivery.unsent > HIGH_WATER:
            self._slow_down(call, delivery, link)

    def _slow_down(self, call: Call, delivery: Delivery, link: "Link") -> None:
        executor = call.executor
        if executor is None:
            return
        if len(executor.errands) == 1:
            executor.channel.pause()
            delivery.when_low(executor.channel.resume)
        elif delivery.unsent > self.settings.result_bytes:
            # Threads share the channel: neighbours must not wait for one slow reader.
            call.is_abandoned = True
            delivery.drop()
            link.deliveries.pop(call.number, None)

    def _finished(self, call: Call, payload: bytes, rest: list[bytes]) -> None:
        self._let_go(call, payload[0])
        self._endings.result(call, payload, rest)

    def _failed(self, call: Call, payload: bytes) -> None:
        self._let_go(call, payload[0])
        self._endings.error_frame(call, payload)

    def _let_go(self, call: Call, flags: int) -> None:
        executor = call.executor
        if executor is None:
            return
        executor.errands.pop(call.own, None)
        if call.session is not None:
            self._sessions.keep_state(call)
        if flags & RETIRE:
            self._executors.kill(executor, "closed")
        elif call.link is not None:
            self._executors.release(executor)

    def _too_large(self, call: Call, total: int) -> None:
        limit = self.settings.result_bytes
        executor = call.executor
        if executor is not None:
            executor.errands.pop(call.own, None)
            self._executors.kill(executor, "closed")
        self._endings.error(
            call,
            ResultTooLarge(
                f"the result takes {total} bytes, results.maxBytes is {limit}; return less, or "
                "raise results.maxBytes of the pool"
            ),
        )


def begin_snapshot(call: Call, payload: bytes) -> None:
    """A SNAPSHOT, or its beginning: the state that this call leaves."""
    call.too_large = bool(payload[0] & TOO_LARGE)
    call.snapshot = [payload[SNAPSHOT_HEAD.size :]]
    call.gathered = len(payload) - SNAPSHOT_HEAD.size
    call.gathers = Kind.SNAPSHOT if payload[0] & MORE else 0


def more_snapshot(call: Call, payload: bytes, most: int) -> None:
    """More of it; over `most` bytes, whatever the executor says, it is not kept."""
    if call.gathered > most:
        call.too_large = True
        call.snapshot = None
    elif call.snapshot is not None:
        call.snapshot.append(payload)


_FITS = 65_536


def _send_parts(send: "Sender", own: int, head: bytes, parts: list[bytes]) -> None:
    """RUN with MORE, the body's parts as DATA, END; a part too long for the first frame is DATA."""
    head = bytes((head[0] | MORE,)) + head[1:]
    send(header(Kind.RUN, own, len(head)), head)
    for part in parts:
        send(header(Kind.DATA, own, len(part)), part)
    send(frame(Kind.END, own))


if TYPE_CHECKING:
    from collections.abc import Callable

    Sender = Callable[..., None]
