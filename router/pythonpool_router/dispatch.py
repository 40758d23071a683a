"""Which worker runs which call, and when: the one place where a call is given out and taken back.

Called by the front and by sessions; told by links. Knows lines, hints and deadlines; no HTTP.
"""

import asyncio
import copy
from time import monotonic

from pythonpool import names
from pythonpool.errors import (
    Cancelled,
    PythonPoolError,
    SessionNotFound,
)
from pythonpool.messages import OPEN, U32, UNKNOWN, CancelReason, Kind
from pythonpool_router import refusals
from pythonpool_router.call import ANSWERED, GONE, NEW, SENT, WAITING, Call
from pythonpool_router.link import line_age_ms
from pythonpool_router.logs import Logger
from pythonpool_router.pools import ANY_LIFE, Pool, Pools
from pythonpool_router.workers import Worker

_log = Logger()

SWEEP_SECONDS = 0.05


class Dispatcher:
    """Gives calls to free slots; keeps the lines while there are none.

    Attributes:
        instance: this router's life; the first part of every execution id.
        in_flight: calls that were taken and have no answer yet.
    """

    def __init__(self, pools: Pools, instance: str) -> None:
        self.pools = pools
        self.instance = instance
        self.in_flight = 0
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._is_sweeping = False

    def next_number(self) -> int:
        """A number that no other call or question of this router has."""
        self._number += 1
        return self._number

    def execution_id(self, call: Call) -> str:
        """The id of `call`: that of its last CALL frame; a fresh one when it was never sent."""
        if not call.number:
            call.number = self.next_number()
        return names.execution_id(self.instance, call.number)

    # -- from the caller's side -----------------------------------------------------------------

    def submit(self, call: Call, queue_timeout: float | None) -> None:
        """Send the call to a free slot, or let it wait at most `queue_timeout` seconds.

        Answers by the call's `reply`: at once when the call is refused.
        """
        pool = call.pool
        self.in_flight += 1
        call.since = now = monotonic()
        timeout = pool.queue_timeout_seconds if queue_timeout is None else queue_timeout
        call.deadline = now + timeout
        if not pool.queued and pool.idle and call.session is None:
            worker = self.pick(call)
            if worker is not None:
                self.send(call, worker, now)
                return
        if call.session is not None:
            self._submit_to_session(call, call.session, now, timeout)
        else:
            self.wait(call, now, timeout)

    def gone(self, call: Call) -> None:
        """The caller of `call` has gone: out of the line at once, or cancelled at the worker."""
        if call.state in (WAITING, SENT):
            call.pool.counters.count(self.label(call), Cancelled.code)
        self.abandon(call, CancelReason.CALLER_GONE)

    def abandon(self, call: Call, reason: CancelReason) -> None:
        """Nobody waits for the answer of `call` any more; nothing is counted."""
        if call.state == WAITING:
            self.leave(call, GONE)
            self.in_flight -= 1
        elif call.state == SENT:
            call.state = GONE
            self.in_flight -= 1
            if call.link is not None:
                call.link.cancel(call, reason)
        elif call.state == ANSWERED and call.link is not None:
            call.link.drop(call, reason)

    def fail(self, call: Call, error: PythonPoolError) -> None:
        """End `call`, which is neither in a line nor at a worker, with `error`."""
        call.state = ANSWERED
        self.in_flight -= 1
        error.execution_id = self.execution_id(call)
        if error.status >= 500 and error.status != 503:
            _log.error(
                "call failed", pool=call.pool.name, command=call.command, code=error.code,
                cause=error.cause, worker=error.worker, execution_id=error.execution_id,
                detail=error.detail,
            )  # fmt: skip
        call.pool.counters.count(self.label(call), error.code)
        call.reply.failed(call, error)

    def give_up(self, call: Call, error: PythonPoolError) -> None:
        """The rest of the call's body does not come: it ends with `error`, which is completed."""
        error.execution_id = self.execution_id(call)
        call.pool.counters.count(self.label(call), error.code)
        self.abandon(call, CancelReason.SLOW_BODY)

    def refused_early(self, error: PythonPoolError, pool: str, command: str) -> PythonPoolError:
        """Give an execute that did not become a call its id, and count it."""
        error = copy.copy(error)
        error.execution_id = names.execution_id(self.instance, self.next_number())
        known = self.pools.by_name.get(pool)
        counters = self.pools.nowhere if known is None else known.counters
        label = command if known is not None and command in known.commands else ""
        counters.count(label, error.code)
        return error

    def answered(self, call: Call) -> None:
        """The result of `call` has come: count it. Called by its reply."""
        self.in_flight -= 1
        call.pool.served(call.command, call.run_us)

    def opened(self) -> None:
        """A call that opened a session has its result."""
        self.in_flight -= 1

    def session_deleted(self, session: names.SessionHandle) -> None:
        """End the calls that wait for a session that is no more."""
        worker = self.worker_of(session)
        for call in worker.waiting.of(session.secret) if worker is not None else ():
            self.leave(call, GONE)
            self.fail(call, SessionNotFound("the session was deleted while the call waited"))

    def refuse_waiting(self) -> None:
        """Refuse every call that waits: this router ends."""
        for pool in self.pools.by_name.values():
            waiting = list(pool.line)
            for worker in pool.workers.values():
                waiting += worker.waiting
            for call in waiting:
                self.leave(call, GONE)
                self.fail(call, refusals.router_ends(pool))

    def worker_of(self, session: names.SessionHandle) -> Worker | None:
        """The worker that holds the session, linked or still to dial; None when there is none."""
        pool = self.pools.by_name.get(session.pool)
        if pool is None:
            return None
        worker = pool.workers.get(session.worker)
        if worker is not None and worker.incarnation == session.incarnation:
            return worker
        listed = pool.listed.get(session.worker)
        if listed is None or not listed.may_be(session.incarnation):
            return None
        if worker is not None and not worker.is_linked and listed.incarnation == ANY_LIFE:
            return worker  # which life of it comes back is seen when it dials
        if worker is None:
            worker = Worker(pool, session.worker, session.incarnation)
            pool.workers[worker.name] = worker
            return worker
        return None

    def wait(self, call: Call, now: float, timeout: float) -> None:
        """Let a call wait in its pool's line, or refuse it when there is no use or no room."""
        pool = call.pool
        unavailable = refusals.unavailable_now(pool, timeout)
        if unavailable is not None:
            self.fail(call, unavailable)
        elif not _may_wait(pool, timeout):
            self.fail(call, refusals.at_capacity(pool, _why_not(pool, timeout), now))
            self.tell_line(pool)
        else:
            pool.line.push(call)
            pool.queued += 1
            self.pump(pool)
            self.sweep_soon()

    def _submit_to_session(
        self, call: Call, session: names.SessionHandle, now: float, timeout: float
    ) -> None:
        pool = call.pool
        worker = self.worker_of(session)
        if worker is None:
            self.fail(call, refusals.worker_gone(session))
            return
        waiting = worker.waiting
        is_busy = waiting.is_busy(session.secret)
        if not is_busy and worker.free > 0 and waiting.head() is None:
            waiting.take(session.secret)
            self.send(call, worker, now)
        elif not _may_wait(pool, timeout):
            cause = "session_busy" if is_busy else _why_not(pool, timeout)
            self.fail(call, refusals.at_capacity(pool, cause, now))
        else:
            waiting.push(call, session.secret)
            pool.queued += 1
            if worker.is_linked:
                self.serve(worker)
            self.sweep_soon()

    # -- giving out -----------------------------------------------------------------------------

    def pick(self, call: Call) -> Worker | None:
        """The least busy worker that may have a free slot, longest idle first among equals."""
        best: Worker | None = None
        full: Worker | None = None
        most = 0
        for worker in call.pool.idle:
            if call.tried is not None and worker.name in call.tried:
                continue
            if call.flags & OPEN and worker.session_room <= 0:
                full = worker  # at the last news: it is asked when there is no better one
                continue
            if worker.free == worker.slots:
                return worker
            if worker.free > most:
                best, most = worker, worker.free
        return best or full

    def send(self, call: Call, worker: Worker, now: float) -> None:
        """Send the call to a linked worker, with the age of the oldest that still waits."""
        pool = call.pool
        self._number = number = self._number + 1
        worker.take_slot()
        head = pool.line.head() if pool.queued else None
        worker.is_enlisted = head is not None
        waited = call.waited = now - call.since
        if waited:
            pool.counters.queue_wait.observe(waited)
        else:
            pool.counters.queue_wait.counts[0] += 1
        link = worker.link
        assert link is not None  # noqa: S101
        link.send(call, number, waited, UNKNOWN if head is None else line_age_ms(now, head.since))

    def pump(self, pool: Pool) -> None:
        """Give waiting calls to workers with free slots, then make sure that all others know."""
        now = self._loop.time()
        while pool.idle and (head := pool.line.head()) is not None:
            worker = self.pick(head)
            if worker is None:
                for other in list(pool.idle):
                    self.serve(other)
                break
            if not self.serve_one(worker, now):
                break
        for worker in pool.workers.values():
            head = pool.line.head()
            if head is None:
                break
            # Other routers hold its slots: only a refused call puts this router on its list.
            if worker.others and not worker.is_enlisted and worker.is_ready:
                self._take_from_line(head)
                self.send(head, worker, now)
                worker.is_enlisted = True

    def serve(self, worker: Worker) -> None:
        """Give the free slots of one worker to the oldest that wait for it."""
        now = self._loop.time()
        while worker.free > 0 and self.serve_one(worker, now):
            pass

    def serve_one(self, worker: Worker, now: float) -> bool:
        """Send the older of the two heads, of the pool's line and of the worker's sessions."""
        pool = worker.pool
        if worker.link is None or not pool.queued:
            return False
        mine = worker.waiting.head()
        head = pool.line.head() if worker.state == "ready" else None
        if head is not None and head.tried is not None:
            head = next((call for call in pool.line if self.suits(worker, call)), None)
        if mine is not None and (head is None or mine.since <= head.since):
            worker.waiting.pop()
            pool.queued -= 1
            self.send(mine, worker, now)
            return True
        if head is not None:
            self._take_from_line(head)
            self.send(head, worker, now)
            return True
        return False

    def suits(self, worker: Worker, call: Call) -> bool:
        """Whether the worker has not refused the call for good."""
        return call.tried is None or worker.name not in call.tried

    def _take_from_line(self, call: Call) -> None:
        pool = call.pool
        pool.queued -= 1
        if pool.line.head() is call:
            pool.line.pop()
        else:
            pool.line.left(call, NEW)

    def leave(self, call: Call, state: int) -> None:
        """Out of whichever line `call` waits in."""
        pool = call.pool
        pool.queued -= 1
        if call.session is None:
            pool.line.left(call, state)
            return
        worker = pool.workers.get(call.session.worker)
        if worker is not None:
            worker.waiting.left(call, call.session.secret, state)

    def tell_line(self, pool: Pool) -> None:
        """Let the other routers know how many wait here: the first ready worker passes it on."""
        if pool.share.routers < 2:
            return
        ready = [worker for worker in pool.workers.values() if worker.is_ready]
        meeting = min(ready, key=lambda worker: worker.name, default=None)
        for worker in pool.workers.values():
            worker.passes_on = worker is meeting
            length = pool.queued if worker.passes_on else 0
            if worker.link is not None and worker.told_line != length:
                worker.told_line = length
                worker.link.put(Kind.LINE, 0, U32.pack(length))

    def label(self, call: Call) -> str:
        """The command as metrics name it: one of the catalogue, else empty."""
        return call.command if call.command in call.pool.commands else ""

    # -- time -----------------------------------------------------------------------------------

    def sweep_soon(self) -> None:
        """Somebody waits: look at deadlines until nobody does."""
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Refuse whoever has waited long enough; stops by itself when nobody waits."""
        now = self._loop.time()
        waits = False
        for pool in self.pools.by_name.values():
            self.tell_line(pool)
            if not pool.queued:
                continue
            for call in pool.line:
                if call.deadline <= now:
                    self._expire(call, now)
            for worker in list(pool.workers.values()):
                for call in worker.waiting:
                    if call.deadline <= now:
                        self._expire(call, now)
            waits = waits or pool.queued > 0
        self._is_sweeping = False
        if waits:
            self.sweep_soon()

    def _expire(self, call: Call, now: float) -> None:
        error = refusals.waited_too_long(call, now)
        self.leave(call, GONE)
        self.fail(call, error)


def _may_wait(pool: Pool, timeout: float) -> bool:
    """Whether there is room for one call more, and it is to wait at all."""
    return timeout > 0 and pool.queued < pool.share.room(pool.queue_length)


def _why_not(pool: Pool, timeout: float) -> str:
    """The cause of a refusal where no call may wait."""
    return "queue_timeout" if timeout <= 0 and pool.queue_length else "queue_full"
