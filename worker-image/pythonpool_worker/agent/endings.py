"""How calls end: the one place that gives a slot back and sends the terminal frame.

A call ends by the executor's answer (running), by its deadline, a cancel, its executor's death, or
because its caller has gone. Deadline and cancel kill; their answer goes out once SIGKILL was sent.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

import orjson

from pythonpool.clock import Clock
from pythonpool.errors import OutOfMemory, PythonPoolError, Timeout, WorkerCrashed
from pythonpool.messages import (
    END_HEAD,
    MORE,
    OCTETS,
    RESULT_HEAD,
    SLOT_FREE,
    STARTED,
    U32,
    Kind,
    frame,
    microseconds,
)
from pythonpool_worker.agent.call import Call, Phase
from pythonpool_worker.agent.delivery import Delivery
from pythonpool_worker.agent.executors import Death, Executors, Kill
from pythonpool_worker.agent.problems import error_json, seconds_text
from pythonpool_worker.agent.slots import Free, Offer, Slots
from pythonpool_worker.agent.timers import Alarm, Timers

if TYPE_CHECKING:
    from pythonpool_worker.agent.link import Link
    from pythonpool_worker.agent.sessions import Sessions

_log = logging.getLogger("pythonpool.agent")

GRACE_SECONDS = 0.1
"""Between the soft cancel and SIGKILL."""


class Endings:
    """Ends calls.

    Attributes:
        calls: calls that have ended since the agent's start.
        on_call_over: told after each.
    """

    def __init__(
        self,
        slots: "Slots[Link]",
        executors: Executors,
        sessions: "Sessions",
        timers: Timers,
        clock: Clock,
    ) -> None:
        self.calls = 0
        self._slots = slots
        self._executors = executors
        self._sessions = sessions
        self._timers = timers
        self._clock = clock
        self._expiry: Alarm | None = None
        self._is_settling = False
        self.on_call_over = _nothing

    def result(self, call: Call, first: bytes, rest: list[bytes]) -> None:
        """The executor's RESULT, whole: `first` is the payload of its first frame."""
        link = call.link
        # The length is counted, not believed: an adapter may write to its channel itself.
        room = RESULT_HEAD.size
        following = sum(map(len, rest))
        flags = first[0] & OCTETS | (MORE if following else 0)
        total = U32.pack(max(len(first) - room, 0) + following)
        slot_free = self._over(call)
        if call.is_abandoned or call.is_cancelled:
            self._cancelled(call, slot_free)
        elif link is not None:
            payload = bytes((flags | slot_free,)) + first[1:5] + total + first[room:]
            if not following and call.delivery is None:
                link.send(Kind.RESULT, call.number, payload)
            else:
                self._deliver(call, link, payload, rest if following else [])
        if call.on_over is not None:
            call.on_over(None)
        self._publish()

    def error_frame(self, call: Call, payload: bytes) -> None:
        """The executor's ERROR, passed on as it is."""
        slot_free = self._over(call)
        if call.is_abandoned or call.is_cancelled:
            self._cancelled(call, slot_free)
        else:
            self._say(call, Kind.ERROR, bytes((slot_free,)) + payload[1:])
        if call.on_over is not None:
            call.on_over(PythonPoolError.from_problem(orjson.loads(payload[END_HEAD.size :])))
        self._publish()

    def error(self, call: Call, error: PythonPoolError) -> None:
        """An error of the agent's own; what was not delivered of a stream is dropped."""
        slot_free = self._over(call)
        if call.is_abandoned:
            self._cancelled(call, slot_free)
        else:
            if call.delivery is not None:
                call.delivery.drop()
            head = END_HEAD.pack(slot_free, self._run_us(call))
            self._say(call, Kind.ERROR, head + error_json(error))
        if call.on_over is not None:
            call.on_over(error)
        self._publish()

    def cancelled(self, call: Call) -> None:
        """The call ends without an answer to its caller."""
        slot_free = self._over(call)
        self._cancelled(call, slot_free)
        self._publish()

    def deadline(self, call: Call) -> None:
        """The time to run has passed: kill, whatever it does."""
        call.alarm = None
        if call.phase in (Phase.BODY, Phase.QUEUED, Phase.RUNNING):
            words = f"after {seconds_text(call.timeout)}; the command {_named(call)} was killed"
            call.verdict = Timeout(f"Python operation timed out {words}")
            self._stop(call, "timeout")

    def cancel(self, call: Call) -> None:
        """End a call: softly, then by SIGKILL; at once while its args are not whole."""
        if call.phase is Phase.BODY:
            self.cancelled(call)
        elif call.phase is Phase.QUEUED:
            call.is_cancelled = True
            self._stop(call, "cancelled")
        elif call.phase is Phase.RUNNING:
            call.is_cancelled = True
            call.phase = Phase.STOPPING
            executor = call.executor
            if executor is not None:
                executor.channel.send(frame(Kind.CANCEL, call.own))
            self._timers.after(GRACE_SECONDS, self._grace_is_over, call)

    def abandon(self, call: Call, *, finish: bool) -> None:
        """The caller has gone; with `finish` the call runs on if its args are whole."""
        if finish and call.phase is not Phase.BODY:
            call.is_abandoned = True
        else:
            self.cancel(call)

    def killed(self, call: Call, kill: Kill) -> None:
        """Its executor was killed on our word, for this call or for a neighbour."""
        if not kill.is_sent:
            self._owe(call)
        elif kill.is_unkillable and call.verdict is not None:
            call.has_slot = False
            self._slots.lose()
        if call.is_cancelled:
            self.cancelled(call)
            return
        error = call.verdict or WorkerCrashed(
            f"the command {_named(call)} was killed together with a neighbour in the same process; "
            "whether it finished is not known",
            cause="neighbour_killed",
        )
        if call.verdict is not None and kill.is_unkillable:
            words = (
                f"after {seconds_text(call.timeout)}; the command {_named(call)} is stuck in the"
            )
            error = Timeout(
                f"Python operation timed out {words} kernel and can not be killed; the worker is "
                "replaced",
                cause="unkillable",
            )
        if call.verdict is not None:
            error.stack = kill.stack
        self.error(call, error)

    def died(self, call: Call, death: Death) -> None:
        """Its executor died by itself."""
        if call.is_cancelled:
            self.cancelled(call)
        else:
            self.error(call, call.verdict or death_error(call, death))

    def settle(self) -> None:
        """After the frames of this turn were read: offer what is free to those who wait."""
        if self._slots.is_unsettled and not self._is_settling:
            self._is_settling = True
            asyncio.get_running_loop().call_soon(self._settle)

    def publish(self) -> None:
        """Send the news of the slots and watch the slots that are kept."""
        self._publish()

    def _settle(self) -> None:
        self._is_settling = False
        self._slots.settle()
        self._publish()

    def _stop(self, call: Call, why: str) -> None:
        """End what runs; the rest follows when the keeper has spoken."""
        executor = call.executor
        if executor is None:
            if call.taker is not None:
                self._executors.leave(call.taker)
            if call.is_cancelled:
                self.cancelled(call)
            else:
                self.error(call, call.verdict or _never(call))
            return
        call.phase = Phase.KILLED
        self._executors.kill(executor, why, dump=why == "timeout")

    def _grace_is_over(self, call: Call) -> None:
        if call.phase is Phase.STOPPING:
            self._stop(call, "cancelled")

    def _owe(self, call: Call) -> None:
        """The keeper is late: answer, but keep the slot until SIGKILL was sent."""
        executor = call.executor
        if call.has_slot and executor is not None:
            call.has_slot = False
            executor.debts.append(self._debt)

    def _debt(self, kill: Kill) -> None:
        if kill.is_unkillable:
            self._slots.lose()
        else:
            self._slots.give_back(None)
        self._publish()

    def _over(self, call: Call) -> int:
        """Take the call out of all books; the flag that its terminal frame carries."""
        if call.alarm is not None:
            call.alarm.cancel()
            call.alarm = None
        call.phase = Phase.OVER
        link = call.link
        if link is not None:
            link.calls.pop(call.number, None)
            self.calls += 1
        slot_free = 0
        if call.has_slot:
            call.has_slot = False
            here = link if link is not None and link.is_open else None
            slot_free = SLOT_FREE if self._slots.give_back(here) else 0
        if call.session is not None:
            self._sessions.call_is_over(call)
        self.on_call_over()
        return slot_free

    def _cancelled(self, call: Call, slot_free: int) -> None:
        started = STARTED if call.started_at else 0
        if call.delivery is not None:
            call.delivery.drop()
        self._say(call, Kind.CANCELLED, END_HEAD.pack(slot_free | started, self._run_us(call)))

    def _say(self, call: Call, kind: int, payload: bytes) -> None:
        link = call.link
        if link is None:
            return
        if call.delivery is not None and not call.delivery.is_done:
            call.delivery.put(kind, payload)
            return
        link.deliveries.pop(call.number, None)
        if call.delivery is None:
            link.send(kind, call.number, payload)
        else:
            link.send_data(kind, call.number, payload)

    def _deliver(self, call: Call, link: "Link", first: bytes, rest: list[bytes]) -> None:
        delivery = call.delivery
        if delivery is None:
            delivery = call.delivery = Delivery(link, call.number, self._clock.monotonic())
            link.deliveries[call.number] = delivery
        delivery.put(Kind.RESULT, first)
        for part in rest:
            delivery.put(Kind.DATA, part)
        if first[0] & MORE:
            delivery.put(Kind.END, b"")
        if delivery.is_done:
            link.deliveries.pop(call.number, None)

    def _run_us(self, call: Call) -> int:
        if not call.started_at:
            return 0
        return microseconds(self._clock.monotonic() - call.started_at)

    def _publish(self) -> None:
        slots = self._slots
        if slots.news:
            news, slots.news = slots.news, []
            for each in news:
                if isinstance(each, Offer):
                    each.router.send(Kind.OFFER, 0, b"\0")
                elif isinstance(each, Free):
                    each.router.send(Kind.FREE, 0, each.count.to_bytes(2, "big"))
        expiry = slots.next_expiry
        if expiry is not None and (self._expiry is None or self._expiry.when > expiry):
            if self._expiry is not None:
                self._expiry.cancel()
            self._expiry = self._timers.at(expiry, self._expire)

    def _expire(self, _: object) -> None:
        self._expiry = None
        self._slots.expire()
        self._publish()


def death_error(call: Call, death: Death) -> PythonPoolError:
    """What a caller is told when the executor died under its call."""
    if death.cause in ("memory", "oom"):
        limit = f" (limit {death.limit_bytes} bytes)" if death.limit_bytes else ""
        return OutOfMemory(
            f"the command {_named(call)} was killed because the worker ran out of memory{limit}; "
            "give the pool more resources.memory or the command less to do",
            cause=death.cause,
            limit_bytes=death.limit_bytes,
            peak_bytes=death.peak_bytes,
        )
    return WorkerCrashed(
        f"the executor that ran the command {_named(call)} died ({death.cause}); "
        "whether it finished is not known",
        cause=death.cause,
    )


def _named(call: Call) -> str:
    return f'"{call.command.decode()}"' if call.command else "that opens a session"


def _never(call: Call) -> PythonPoolError:
    return WorkerCrashed(f"the command {_named(call)} could not be started", cause="unknown")


def _nothing() -> None:
    """Until somebody wants to know."""
