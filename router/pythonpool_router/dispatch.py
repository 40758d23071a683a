"""Which worker runs which call, and when: the one place where a call is given out and taken back.

Called by the front and by sessions; told by links. Knows lines, hints and deadlines; no HTTP.
"""

import asyncio
import copy
from typing import Any

import structlog

from pythonpool import names
from pythonpool.errors import (
    Cancelled,
    PoolNotFound,
    PythonPoolError,
    SessionLost,
    SessionNotFound,
    WorkerCrashed,
)
from pythonpool.messages import OPEN, CancelReason, Refusal
from pythonpool_router import refusals
from pythonpool_router.call import ANSWERED, GONE, SENT, WAITING, Call
from pythonpool_router.link import Link, LinkEvents, line_age_ms
from pythonpool_router.pools import Pool, Pools
from pythonpool_router.workers import Worker

_log = structlog.get_logger("pythonpool.dispatch")

SWEEP_SECONDS = 0.05


class Dispatcher(LinkEvents):
    """Gives calls to free slots; keeps the lines while there are none.

    Attributes:
        instance: this router's life; the first part of every execution id.
        in_flight: calls that were taken and have no answer yet.
    """

    def __init__(self, pools: Pools, instance: str, counts_totals: bool = True) -> None:
        self.pools = pools
        self.instance = instance
        self.in_flight = 0
        self._counts_totals = counts_totals
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
        now = self._loop.time()
        pool = call.pool
        self.in_flight += 1
        if not call.since:
            call.since = now
        timeout = pool.queue_timeout_seconds if queue_timeout is None else queue_timeout
        call.deadline = call.since + timeout
        if call.session is not None:
            self._submit_to_session(call, call.session, now, timeout)
            return
        if not pool.queued and pool.idle:
            worker = self._pick(call)
            if worker is not None:
                self._send(call, worker, now)
                return
        self._wait(call, now, timeout)

    def gone(self, call: Call) -> None:
        """The caller of `call` has gone: out of the line at once, or cancelled at the worker."""
        self.abandon(call, CancelReason.CALLER_GONE)
        call.pool.counters.count(self._label(call), Cancelled.code)

    def abandon(self, call: Call, reason: CancelReason) -> None:
        """Nobody waits for the answer of `call` any more; nothing is counted."""
        if call.state == WAITING:
            self._leave(call, GONE)
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
        call.pool.counters.count(self._label(call), error.code)
        call.reply.failed(call, error)

    def count(self, call: Call, code: str) -> None:
        """Count the end of a call that was abandoned."""
        call.pool.counters.count(self._label(call), code)

    def refused_early(self, error: PythonPoolError, pool: str, command: str) -> PythonPoolError:
        """Give an execute that did not become a call its id, and count it."""
        error = copy.copy(error)
        error.execution_id = names.execution_id(self.instance, self.next_number())
        known = self.pools.by_name.get(pool)
        counters = self.pools.nowhere if known is None else known.counters
        label = command if known is not None and command in known.commands else ""
        counters.count(label, error.code)
        return error

    def _wait(self, call: Call, now: float, timeout: float) -> None:
        pool = call.pool
        unavailable = refusals.unavailable_now(pool, timeout)
        if unavailable is not None:
            self.fail(call, unavailable)
        elif pool.queued >= pool.queue_length or timeout <= 0:
            cause = "queue_timeout" if timeout <= 0 and pool.queue_length else "queue_full"
            self.fail(call, refusals.at_capacity(pool, cause, now))
        else:
            pool.line.push(call)
            pool.queued += 1
            self._pump(pool)
            self._sweep_soon()

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
            self._send(call, worker, now)
        elif pool.queued >= pool.queue_length or timeout <= 0:
            cause = "session_busy" if is_busy else "queue_full"
            self.fail(call, refusals.at_capacity(pool, cause, now))
        else:
            waiting.push(call, session.secret)
            pool.queued += 1
            if worker.is_linked:
                self._serve(worker)
            self._sweep_soon()

    def worker_of(self, session: names.SessionHandle) -> Worker | None:
        """The worker that holds the session, linked or still to dial; None when there is none."""
        pool = self.pools.by_name.get(session.pool)
        if pool is None:
            return None
        worker = pool.workers.get(session.worker)
        if worker is not None and worker.incarnation == session.incarnation:
            return worker
        listed = pool.listed.get(session.worker)
        if worker is None and listed is not None and listed.incarnation == session.incarnation:
            worker = Worker(pool, session.worker, session.incarnation)
            pool.workers[worker.name] = worker
            return worker
        return None

    # -- giving out -----------------------------------------------------------------------------

    def _pick(self, call: Call) -> Worker | None:
        """The least busy worker that may have a free slot, longest idle first among equals."""
        best: Worker | None = None
        most = 0
        for worker in call.pool.idle:
            if call.tried is not None and worker.name in call.tried:
                continue
            if call.flags & OPEN and worker.session_room <= 0:
                continue
            if worker.free == worker.slots:
                return worker
            if worker.free > most:
                best, most = worker, worker.free
        return best

    def _send(self, call: Call, worker: Worker, now: float) -> None:
        pool = call.pool
        self._number = number = self._number + 1
        worker.set_free(worker.free - 1 if worker.free > 0 else 0)
        head = pool.line.head() if pool.queued else None
        worker.is_enlisted = head is not None
        waited = call.waited = now - call.since
        pool.counters.queue_wait.observe(waited)
        link = worker.link
        assert link is not None  # noqa: S101
        link.send(call, number, waited, line_age_ms(now, head.since if head else None))

    def _pump(self, pool: Pool) -> None:
        """Give waiting calls to workers with free slots, then make sure that all others know."""
        now = self._loop.time()
        while pool.idle:
            head = pool.line.head()
            worker = self._pick(head) if head is not None else None
            if worker is None:
                break
            self._serve_one(worker, now)
        for worker in pool.workers.values():
            head = pool.line.head()
            if head is None:
                break
            # Other routers hold its slots: only a refused call puts this router on its list.
            if worker.others and not worker.is_enlisted and worker.is_ready:
                self._take_from_line(pool)
                self._send(head, worker, now)
                worker.is_enlisted = True

    def _serve(self, worker: Worker) -> None:
        """Give the free slots of one worker to the oldest that wait for it."""
        now = self._loop.time()
        while worker.free > 0 and self._serve_one(worker, now):
            pass

    def _serve_one(self, worker: Worker, now: float) -> bool:
        """Send the older of the two heads, of the pool's line and of the worker's sessions."""
        pool = worker.pool
        if worker.link is None or not pool.queued:
            return False
        mine = worker.waiting.head()
        head = pool.line.head() if worker.state == "ready" else None
        if head is not None and (head.tried is not None or head.flags & OPEN):
            head = head if self._suits(worker, head) else None
        if mine is not None and (head is None or mine.since <= head.since):
            worker.waiting.pop()
            pool.queued -= 1
            self._send(mine, worker, now)
            return True
        if head is not None:
            self._take_from_line(pool)
            self._send(head, worker, now)
            return True
        return False

    def _suits(self, worker: Worker, call: Call) -> bool:
        if call.tried is not None and worker.name in call.tried:
            return False
        return not call.flags & OPEN or worker.session_room > 0

    def _take_from_line(self, pool: Pool) -> None:
        pool.line.pop()
        pool.queued -= 1

    def _leave(self, call: Call, state: int) -> None:
        """Out of whichever line `call` waits in."""
        pool = call.pool
        pool.queued -= 1
        if call.session is None:
            pool.line.left(call, state)
            return
        worker = pool.workers.get(call.session.worker)
        if worker is not None:
            worker.waiting.left(call, call.session.secret, state)

    # -- from the workers' side -----------------------------------------------------------------

    def joined(self, worker: Worker, link: Link) -> None:
        """A worker has said HELLO and takes calls from now on, as its state allows."""
        pool = worker.pool
        before = pool.workers.get(worker.name)
        if before is not None and before is not worker:
            if before.link is not None:
                before.link.close("another life of the worker has come")
            self._end_waiting(before)
        pool.workers[worker.name] = worker
        worker.link = link
        worker.set_free(max(worker.slots - worker.busy, 0))
        pool.learn_commands()
        self._serve(worker)
        self._pump(pool)

    def status(self, worker: Worker, news: dict[str, Any]) -> None:
        """Take a worker's news; its slots may be free, its state another."""
        if worker.link is None:
            return
        state, exits, ends = worker.state, worker.exits, worker.session_ends
        worker.learn(news, worker.link.holding)
        if self._counts_totals:
            _add_growth(worker.pool.counters.worker_exits, exits, worker.exits)
            _add_growth(worker.pool.counters.session_ends, ends, worker.session_ends)
        if "catalogue" in news:
            worker.catalogue = catalogue_of(news["catalogue"])
        if state != worker.state or "catalogue" in news:
            worker.pool.learn_commands()
        if worker.pool.queued:
            self._serve(worker)
            self._pump(worker.pool)

    def pools_read(self, gone: list[Pool]) -> None:
        """The source was read again: end what belongs to pools and workers that are no more."""
        for pool in gone:
            for call in list(pool.line):
                self._leave(call, GONE)
                self.fail(call, PoolNotFound(f'pool "{pool.name}" was deleted'))
            for worker in list(pool.workers.values()):
                self._end_waiting(worker)
                if worker.link is not None:
                    worker.link.close("its pool was deleted")
        for pool in self.pools.by_name.values():
            for worker in list(pool.workers.values()):
                listed = pool.listed.get(worker.name)
                is_listed = listed is not None and listed.incarnation == worker.incarnation
                if worker.link is None and not is_listed:
                    self._end_waiting(worker)
                    del pool.workers[worker.name]
            for call in list(pool.line) if pool.queued else ():
                unavailable = refusals.unavailable_now(pool, 1.0)
                if unavailable is not None:
                    self._leave(call, GONE)
                    self.fail(call, unavailable)

    def opened(self, call: Call) -> None:
        """A session was opened by `call`."""
        self.in_flight -= 1

    def draining(self, worker: Worker) -> None:
        """No new calls for this worker, but those of its sessions."""
        worker.state = "draining"
        worker.pool.idle.pop(worker, None)

    def free(self, worker: Worker, slots: int) -> None:
        """Slots are free after a refusal."""
        worker.is_enlisted = False
        worker.others = max(worker.others - slots, 0)
        worker.set_free(slots)
        if worker.pool.queued:
            self._serve(worker)

    def offered(self, worker: Worker, secret: str | None) -> bool:
        """Use what is kept for this router: send the oldest call that can use it."""
        if secret is not None:
            mine = worker.waiting.offered(secret)
            if mine is None:
                return False
            worker.pool.queued -= 1
            self._send(mine, worker, self._loop.time())
            return True
        worker.is_enlisted = False
        return self._serve_one(worker, self._loop.time())

    def refused(self, call: Call, worker: Worker, reason: int) -> None:
        """Back into its line, in the place of its age; or on to another worker."""
        if call.upload is not None:
            call.upload.refused(call.body)
        if reason == Refusal.SLOTS:
            worker.set_free(0)
            worker.is_enlisted = True
        else:
            worker.set_free(min(worker.free + 1, worker.slots))
        if call.state == GONE:
            self._session_free(call, worker)
            return
        if reason == Refusal.DRAINING:
            self.draining(worker)
            if call.session is not None:
                self._session_free(call, worker)
                self.fail_sent(call, SessionLost("its worker drains", cause="drained"))
                return
        if reason in (Refusal.MEMORY, Refusal.SESSIONS_FULL):
            self._try_elsewhere(call, worker, reason)
            return
        self._wait_again(call, worker, reason)

    def _try_elsewhere(self, call: Call, worker: Worker, reason: int) -> None:
        call.tried = (call.tried or set()) | {worker.name}
        if reason == Refusal.SESSIONS_FULL:
            worker.session_room = 0
        others = any(
            other.is_ready and self._suits(other, call) for other in call.pool.workers.values()
        )
        if call.session is None and others:
            self._wait_again(call, worker, reason)
            return
        self._session_free(call, worker)
        cause = "memory" if reason == Refusal.MEMORY else "sessions_full"
        self.fail_sent(call, refusals.at_capacity(call.pool, cause, self._loop.time()))

    def _wait_again(self, call: Call, worker: Worker, reason: int) -> None:
        pool = call.pool
        pool.queued += 1
        if call.session is None:
            pool.line.push(call)
            if pool.idle:
                self._pump(pool)
        elif reason == Refusal.SESSION_BUSY:
            worker.waiting.block(call, call.session.secret)
        else:
            worker.waiting.push_ready(call, call.session.secret)
        self._sweep_soon()

    def ended(self, call: Call, worker: Worker, slot_free: bool) -> None:
        """A call is over at its worker: its slot, or its session, goes to the next."""
        pool = call.pool
        if call.session is not None:
            worker.waiting.free(call.session.secret)
        if slot_free:
            worker.set_free(min(worker.free + 1, worker.slots))
        else:
            worker.others = max(worker.others, 1)  # its slot went to another router, or is lost
        if pool.queued:
            self._serve(worker)
            if not slot_free:
                self._pump(pool)

    def answered(self, call: Call) -> None:
        """The result of `call` has come: count it. Called by its reply."""
        self.in_flight -= 1
        pool = call.pool
        seconds = call.run_us / 1e6
        label = call.command if call.command in pool.commands else ""
        pool.counters.count(label, "ok")
        pool.counters.ran(label, seconds)
        pool.promise.served(seconds)

    def failed(self, call: Call, worker: Worker, error: PythonPoolError) -> None:
        """The worker ended the call with an error: answer it, or run an idempotent one again."""
        error.worker = worker.name
        if call.run_us:
            call.pool.promise.served(call.run_us / 1e6)
            call.pool.counters.ran(self._label(call), call.run_us / 1e6)
        if error.code == WorkerCrashed.code and self._may_run_again(call):
            self._run_again(call)
            return
        if error.code == "timeout":
            error.suggestion = error.suggestion or refusals.suggestion(call, self.pools)
        self.fail_sent(call, error)

    def fail_sent(self, call: Call, error: PythonPoolError) -> None:
        """End a call that was at a worker with `error`."""
        self.fail(call, error)

    def broken(self, worker: Worker, calls: list[Call]) -> None:
        """The link is gone. What was sent may have run; what waits for sessions waits on."""
        pool = worker.pool
        worker.link = None
        worker.set_free(0)
        worker.is_enlisted = False
        for call in calls:
            if call.session is not None:
                worker.waiting.free(call.session.secret)
            if call.state == SENT:
                self.failed(call, worker, refusals.link_lost(worker))
            elif call.state == ANSWERED:
                call.reply.failed(call, refusals.link_lost(worker))
        listed = pool.listed.get(worker.name)
        if listed is None or listed.incarnation != worker.incarnation:
            self._end_waiting(worker)
            if pool.workers.get(worker.name) is worker:
                del pool.workers[worker.name]
        pool.learn_commands()

    def _session_free(self, call: Call, worker: Worker) -> None:
        if call.session is not None:
            worker.waiting.free(call.session.secret)
            if worker.link is not None:
                self._serve(worker)

    def _end_waiting(self, worker: Worker) -> None:
        for call in worker.waiting.clear():
            worker.pool.queued -= 1
            assert call.session is not None  # noqa: S101
            self.fail(call, refusals.worker_gone(call.session))

    def _may_run_again(self, call: Call) -> bool:
        row = call.pool.commands.get(call.command)
        return (
            bool(row and row.get("idempotent"))
            and not call.reruns
            and call.upload is None
            and call.session is None
            and not call.streamed
        )

    def _run_again(self, call: Call) -> None:
        call.reruns += 1
        self.in_flight -= 1
        timeout = max(call.pool.queue_timeout_seconds, 0.001)
        call.deadline = self._loop.time() + timeout
        worker = self._pick(call) if call.pool.idle else None
        self.in_flight += 1
        if worker is not None:
            self._send(call, worker, self._loop.time())
        else:
            self._wait(call, self._loop.time(), timeout)

    # -- time -----------------------------------------------------------------------------------

    def _sweep_soon(self) -> None:
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Refuse whoever has waited long enough; stops by itself when nobody waits."""
        now = self._loop.time()
        waits = False
        for pool in self.pools.by_name.values():
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
            self._sweep_soon()

    def _expire(self, call: Call, now: float) -> None:
        error = refusals.waited_too_long(call, now)
        self._leave(call, GONE)
        self.fail(call, error)

    def session_deleted(self, session: names.SessionHandle) -> None:
        """End the calls that wait for a session that is no more."""
        worker = self.worker_of(session)
        for call in worker.waiting.of(session.secret) if worker is not None else ():
            self._leave(call, GONE)
            self.fail(call, SessionNotFound("the session was deleted while the call waited"))

    def _label(self, call: Call) -> str:
        return call.command if call.command in call.pool.commands else ""


def catalogue_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A worker's catalogue by command name.

    Raises:
        KeyError, TypeError: a row is not what it must be.
    """
    return {row["name"]: row for row in rows}


def _add_growth(sums: dict[str, int], before: dict[str, int], now: dict[str, int]) -> None:
    for key, total in now.items():
        growth = total - before.get(key, 0)
        if growth > 0:
            sums[key] = sums.get(key, 0) + growth
