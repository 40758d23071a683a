"""The router's end of a link: frames to and from one worker's agent.

Frames of one turn of the event loop are written at once, control before data. Nobody ever stops
reading a link. What a worker breaks here is broken for itself alone: a bad frame closes its link.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pythonpool import messages
from pythonpool.errors import Cancelled, PythonPoolError, WorkerCrashed
from pythonpool.messages import MORE, OCTETS, SLOT_FREE, STARTED, UNKNOWN, CancelReason, Kind
from pythonpool.turns import end_of_turn
from pythonpool_router import said
from pythonpool_router.call import ANSWERED, GONE, SENT, Call
from pythonpool_router.linkevents import LinkEvents
from pythonpool_router.logs import Logger
from pythonpool_router.overdue import STALLED_SECONDS, OverdueWatch, is_stalled
from pythonpool_router.settings import Errors

if TYPE_CHECKING:
    from pythonpool_router.workers import Worker

_log = Logger()
_RESULT_BYTES = messages.RESULT_HEAD.size
_END_BYTES = messages.END_HEAD.size
_BAD_FRAME = (messages.ProtocolError, struct.error, KeyError, TypeError, ValueError)


class Link:
    """One connection to a worker, after HELLO. Owns the calls that were sent over it.

    Attributes:
        calls: by number; from CALL until its terminal frame and the last of its result.
        asks: cold questions that wait for their answer.
        holding: calls here that hold a slot as far as the router knows.
    """

    def __init__(
        self, transport: asyncio.Transport, worker: "Worker", events: LinkEvents, errors: Errors
    ) -> None:
        self.worker = worker
        self.calls: dict[int, Call] = {}
        self.asks: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.holding = 0
        self._transport = transport
        self._events = events
        self._errors = errors
        self._loop = asyncio.get_running_loop()
        self._control: list[bytes] = []
        self._data: list[bytes] = []
        self._is_flushing = False
        self._at_end = end_of_turn()
        self._is_full = False
        self._overdue = OverdueWatch(lambda: self.calls.values(), self._overdue_at_worker)
        self._frames: dict[int, Callable[[int, bytes], None]] = {
            Kind.PONG: lambda number, payload: None,
            Kind.STATUS: self._on_status,
            Kind.DRAINING: self._on_draining,
            Kind.FREE: self._on_free,
            Kind.OFFER: self._on_offer,
            Kind.ACCEPT: self._on_accept,
            Kind.REFUSE: self._on_refuse,
            Kind.DATA: self._on_data,
            Kind.END: self._on_end,
            Kind.BEGIN: self._on_begin,
            Kind.PROGRESS: self._on_progress,
            Kind.CHUNK: self._on_chunk,
            Kind.RESULT: self._on_result,
            Kind.ERROR: self._on_error,
            Kind.CANCELLED: self._on_cancelled,
            Kind.CREDIT: self._on_credit,
            Kind.ANSWER: self._on_answer,
        }

    # -- out ------------------------------------------------------------------------------------

    def send(self, call: Call, number: int, waited: float, line_ms: int) -> None:
        """Send one CALL under `number`; the call is at the worker from here on."""
        call.number = number
        call.link = self
        call.worker = self.worker
        call.state = SENT
        call.granted = messages.WINDOW
        call.in_body = False
        self.calls[number] = call
        self.holding += 1
        if not self._overdue.is_looking:
            self._overdue.start()
        parts, size, flags = call.body, call.body_bytes, call.flags
        if call.upload is not None:
            room = messages.MAX_PAYLOAD - 1024
            parts, more = call.upload.first_part(room)
            call.body = parts
            size = sum(map(len, parts))
            if more:
                flags |= MORE
        names = call.names = call.names or _names(call)
        out = self._control
        out.append(
            messages.call_start(
                number, size, flags, call.timeout_ms, int(waited * 1000), line_ms, call.body_bytes,
                names,
            )
        )  # fmt: skip
        out += parts
        if not self._is_flushing:
            self._is_flushing = True
            self._at_end(self._flush)

    def put(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Send one control frame with the others of this turn."""
        self._control.append(messages.frame(kind, number, payload))
        if not self._is_flushing:
            self._is_flushing = True
            self._at_end(self._flush)

    def put_data(self, kind: int, number: int, parts: list[bytes], size: int) -> None:
        """Send one frame of a body, after all control frames."""
        self._data.append(messages.header(kind, number, size))
        self._data += parts
        if not self._is_flushing:
            self._is_flushing = True
            self._at_end(self._flush)

    def cancel(self, call: Call, reason: CancelReason) -> None:
        """End a call that was sent; its terminal frame still comes."""
        self.put(Kind.CANCEL, call.number, bytes((reason,)))

    def drop(self, call: Call, reason: CancelReason) -> None:
        """Nobody wants the rest of a result that is under way."""
        if self.calls.pop(call.number, None) is not None:
            self.cancel(call, reason)

    def grant(self, call: Call, taken: int) -> None:
        """The caller took `taken` bytes of a result: the worker may send as many more."""
        if call.number in self.calls:
            call.granted += taken
            self.put(Kind.CREDIT, call.number, messages.U32.pack(taken))

    def close(self, why: str) -> None:
        """Cut the link."""
        if not self._transport.is_closing():
            _log.warning("link closed", worker=self.worker.name, why=why)
        self._transport.abort()

    def full(self, is_full: bool) -> None:
        """The kernel does (not) take more: data waits, control is queued."""
        self._is_full = is_full
        if not is_full:
            self._flush()

    def look(self, now: float) -> None:
        """Cut a link whose worker does not go on with a result; asked for every 2 s."""
        for call in self.calls.values():
            if is_stalled(call, now):
                self.close(f"the result of call {call.number} has stalled")
                return

    def _flush(self) -> None:
        self._is_flushing = False
        out = self._control
        if self._data and not self._is_full:
            out += self._data
            self._data = []
        if out:
            self._control = []
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    # -- in -------------------------------------------------------------------------------------

    def take(self, frames: Iterable[tuple[int, int, bytes]]) -> None:
        """Take what has come; raises nothing but what `frames` raises."""
        handlers = self._frames
        for kind, number, payload in frames:
            handler = handlers.get(kind)
            if handler is None:
                self.close(f"a frame of kind {kind}, which a worker does not send")
                continue
            try:
                handler(number, payload)
            except _BAD_FRAME as error:
                self.close(f"a bad frame of kind {kind}: {error!r}")
            except Exception:  # noqa: BLE001 - the edge to the worker
                # One caller's fault must not cost the others their link.
                _log.exception("a frame was not understood", kind=kind, worker=self.worker.name)

    def lost(self) -> None:
        """The connection is gone: every call that was sent is unanswered for ever."""
        calls, self.calls = list(self.calls.values()), {}
        asks, self.asks = list(self.asks.values()), {}
        self.holding = 0
        for future in asks:
            if not future.done():
                future.set_exception(
                    WorkerCrashed(
                        f'the link to worker "{self.worker.name}" broke',
                        cause="link_lost",
                        worker=self.worker.name,
                    )
                )
        self._events.broken(self.worker, calls)

    def _overdue_at_worker(self, call: Call, error: PythonPoolError) -> None:
        self._events.failed(call, self.worker, error)

    def _on_status(self, number: int, payload: bytes) -> None:
        self._events.status(self.worker, said.an_object(payload))

    def _on_draining(self, number: int, payload: bytes) -> None:
        self._events.draining(self.worker)

    def _on_free(self, number: int, payload: bytes) -> None:
        self._events.free(self.worker, messages.U16.unpack(payload)[0])

    def _on_offer(self, number: int, payload: bytes) -> None:
        secret = payload[1:].decode("ascii") if said.first(payload) else None
        if not self._events.offered(self.worker, secret):
            self.put(Kind.DECLINE, 0, payload)

    def _on_accept(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is not None and call.upload is not None and call.state == SENT:
            call.upload.accepted(self._loop.time())

    def _on_refuse(self, number: int, payload: bytes) -> None:
        reason = messages.Refusal(said.first(payload))
        call = self.calls.get(number)
        if call is not None and (
            call.streamed or (reason == messages.Refusal.SESSION_BUSY and call.session is None)
        ):
            raise messages.ProtocolError(f"{reason!r} for call {number}")
        call = self._terminal(number)
        if call is not None:
            self._events.refused(call, self.worker, reason)

    def _on_result(self, number: int, payload: bytes) -> None:
        flags, run_us, total = messages.RESULT_HEAD.unpack_from(payload)
        call = self.calls.get(number)
        if call is None or call.state == ANSWERED:
            return
        first = payload[_RESULT_BYTES:]
        rest = total - len(first)
        if call.in_body or rest < 0 or bool(rest) != bool(flags & MORE):
            # More or less than its length would be read as another caller's answer.
            raise messages.ProtocolError(f"a RESULT of {total} bytes for call {number}")
        self.holding -= 1
        is_wanted = call.state == SENT
        if not rest:
            del self.calls[number]
        elif is_wanted:
            call.in_body = True
            call.deadline = self._loop.time() + STALLED_SECONDS
        else:
            del self.calls[number]
            # The worker must not wait for room for a rest that nobody takes.
            self.cancel(call, CancelReason.CALLER_GONE)
        call.run_us = run_us
        call.state = ANSWERED
        if is_wanted:
            call.reply.result(call, bool(flags & OCTETS), total, first)
        self._events.ended(call, self.worker, bool(flags & SLOT_FREE))

    def _on_error(self, number: int, payload: bytes) -> None:
        flags, run_us = messages.END_HEAD.unpack_from(payload)
        error = said.problem(payload[_END_BYTES:], self.worker.name, self._errors)
        asked = self.asks.pop(number, None)
        if asked is not None:
            if not asked.done():
                asked.set_exception(error)
            return
        call = self._terminal(number)
        if call is None:
            return
        call.run_us = run_us
        if call.state == SENT:
            self._events.failed(call, self.worker, error)
        else:
            call.state = ANSWERED
        self._events.ended(call, self.worker, bool(flags & SLOT_FREE))

    def _on_cancelled(self, number: int, payload: bytes) -> None:
        flags, run_us = messages.END_HEAD.unpack_from(payload)
        call = self._terminal(number)
        if call is None:
            return
        call.run_us = run_us
        if call.state == SENT:
            error = Cancelled("the call was cancelled: its session was deleted")
            error.outcome = "unknown" if flags & STARTED else "not_started"
            self._events.failed(call, self.worker, error)
        else:
            call.state = ANSWERED
        self._events.ended(call, self.worker, bool(flags & SLOT_FREE))

    def _terminal(self, number: int) -> Call | None:
        call = self.calls.get(number)
        if call is None or call.state == ANSWERED:
            return None
        del self.calls[number]
        self.holding -= 1
        return call

    def _on_begin(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is not None:
            said.in_order(bool(call.flags & messages.STREAM), number)
            call.streamed = True
            if call.state == SENT:
                call.reply.began(call)

    def _on_progress(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is not None and call.state == SENT:
            said.in_order(call.streamed, number)
            if not call.in_body:  # in the middle of a chunk it would be read as a part of it
                call.reply.progress(payload)

    def _on_chunk(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is None or call.state == ANSWERED:
            return
        more = bool(said.first(payload) & MORE)
        said.in_order(call.streamed and not call.in_body, number)
        call.in_body = more
        if self._within_window(call, len(payload)) and call.state == SENT:
            call.reply.chunk(more, payload[1:])

    def _on_data(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is None:
            return
        said.in_order(call.in_body, number)
        call.deadline = self._loop.time() + STALLED_SECONDS
        if self._within_window(call, len(payload)) and call.state != GONE:
            call.reply.data(payload)

    def _on_end(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is None:
            return
        said.in_order(call.in_body, number)
        call.in_body = False
        if call.state == ANSWERED:
            del self.calls[number]
        if call.state != GONE:
            call.reply.end()

    def _within_window(self, call: Call, size: int) -> bool:
        call.granted -= size
        if call.granted < 0:
            self.close(f"{-call.granted} bytes more than the window of call {call.number}")
            return False
        return True

    def _on_credit(self, number: int, payload: bytes) -> None:
        call = self.calls.get(number)
        if call is not None and call.upload is not None and call.state == SENT:
            call.upload.credit(messages.U32.unpack(payload)[0])

    def _on_answer(self, number: int, payload: bytes) -> None:
        answer = said.an_object(payload)
        asked = self.asks.pop(number, None)
        if asked is not None and not asked.done():
            asked.set_result(answer)


def line_age_ms(now: float, oldest: float) -> int:
    """The `line_ms` of a CALL: the age of the oldest that waits."""
    return min(int((now - oldest) * 1000), UNKNOWN - 1)


def _names(call: Call) -> bytes:
    session = b"" if call.session is None else call.session.secret.encode()
    return messages.call_names(call.command.encode(), session, call.traceparent, call.owner)
