"""What workers say, and what follows from it: slots come free, calls come back or end.

Told by links; gives calls out again by dispatch.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pythonpool.errors import PythonPoolError, SessionLost, WorkerCrashed
from pythonpool.messages import Refusal
from pythonpool_router import refusals, said
from pythonpool_router.call import ANSWERED, GONE, SENT, Call
from pythonpool_router.dispatch import SWEEP_SECONDS, Dispatcher
from pythonpool_router.link import Link
from pythonpool_router.linkevents import LinkEvents
from pythonpool_router.pools import Pool
from pythonpool_router.workers import Worker

Hold = Callable[[Call, Worker, PythonPoolError], bool]
"""Takes over a call that a death has ended, until it is known why; whether it did."""


class WorkerNews(LinkEvents):
    """Takes the news of all workers.

    Attributes:
        counts_totals: this router counts exits and session ends.
        hold: asked before a call is answered with `worker_crashed`.
    """

    def __init__(self, dispatcher: Dispatcher, counts_totals: bool) -> None:
        self._dispatcher = dispatcher
        self.counts_totals = counts_totals
        self.hold: Hold = _hold_nothing
        self._loop = asyncio.get_running_loop()

    def joined(self, worker: Worker, link: Link) -> None:
        """A worker has said HELLO and takes calls from now on, as its state allows."""
        pool = worker.pool
        before = pool.workers.get(worker.name)
        if before is not None:
            if before is not worker and before.link is not None:
                before.link.close("another life of the worker has come")
            self._take_over_waiting(before, worker)
        pool.workers[worker.name] = worker
        worker.link = link
        worker.told_line = 0
        worker.set_free(max(worker.slots - worker.busy, 0))
        pool.learn_commands()
        self._dispatcher.serve(worker)
        self._dispatcher.pump(pool)

    def status(self, worker: Worker, news: dict[str, Any]) -> None:
        """Take a worker's news; its slots may be free, its state another."""
        if worker.link is None:
            return
        state, exits, ends = worker.state, worker.exits, worker.session_ends
        catalogue = said.catalogue_of(news["catalogue"]) if "catalogue" in news else None
        share = worker.routers, worker.elsewhere
        worker.learn(news, worker.link.holding)
        if worker.passes_on or share != (worker.routers, worker.elsewhere):
            worker.pool.learn_share()
        if self.counts_totals:
            said.add_growth(worker.pool.counters.worker_exits, exits, worker.exits)
            said.add_growth(worker.pool.counters.session_ends, ends, worker.session_ends)
        if catalogue is not None:
            worker.catalogue = catalogue
        if state != worker.state or catalogue is not None:
            worker.pool.learn_commands()
        if worker.pool.queued:
            self._dispatcher.serve(worker)
            self._dispatcher.pump(worker.pool)

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
            self._dispatcher.serve(worker)

    def offered(self, worker: Worker, secret: str | None) -> bool:
        """Use what is kept for this router: send the oldest call that can use it."""
        if secret is not None:
            mine = worker.waiting.offered(secret)
            if mine is None:
                return False
            worker.pool.queued -= 1
            self._dispatcher.send(mine, worker, self._loop.time())
            return True
        worker.is_enlisted = False
        return self._dispatcher.serve_one(worker, self._loop.time())

    def refused(self, call: Call, worker: Worker, reason: int) -> None:
        """Back into its line, in the place of its age; or on to another worker."""
        if call.upload is not None:
            call.upload.refused(call.body)
        if reason == Refusal.SLOTS:
            worker.set_free(0)
            worker.is_enlisted = True
        else:
            worker.give_slot()
        if call.state == GONE:
            self._session_free(call, worker)
            return
        if reason == Refusal.DRAINING:
            self.draining(worker)
            if call.session is not None:
                self._session_free(call, worker)
                self._dispatcher.fail(call, SessionLost("its worker drains", cause="drained"))
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
            other.is_ready and self._dispatcher.suits(other, call)
            for other in call.pool.workers.values()
        )
        if call.session is None and others:
            self._wait_again(call, worker, reason)
            return
        self._session_free(call, worker)
        cause = "memory" if reason == Refusal.MEMORY else "sessions_full"
        self._dispatcher.fail(call, refusals.at_capacity(call.pool, cause, self._loop.time()))

    def _wait_again(self, call: Call, worker: Worker, reason: int) -> None:
        pool = call.pool
        now = self._loop.time()
        if pool.is_gone:
            self._session_free(call, worker)
            self._dispatcher.fail(call, refusals.pool_gone(pool))
            return
        if call.deadline + SWEEP_SECONDS <= now:
            # Else a worker that refuses without end would keep it for ever.
            self._session_free(call, worker)
            self._dispatcher.fail(call, refusals.waited_too_long(call, now))
            return
        pool.queued += 1
        if call.session is None:
            pool.line.push(call)
            if pool.idle:
                self._dispatcher.pump(pool)
        elif reason == Refusal.SESSION_BUSY:
            worker.waiting.block(call, call.session.secret)
        else:
            worker.waiting.push_ready(call, call.session.secret)
        self._dispatcher.sweep_soon()

    def ended(self, call: Call, worker: Worker, slot_free: bool) -> None:
        """A call is over at its worker: its slot, or its session, goes to the next."""
        pool = call.pool
        if call.session is not None:
            worker.waiting.free(call.session.secret)
        if slot_free:
            worker.give_slot()
        else:
            worker.others = max(worker.others, 1)  # its slot went to another router, or is lost
        if pool.queued:
            self._dispatcher.serve(worker)
            if not slot_free:
                self._dispatcher.pump(pool)

    def failed(self, call: Call, worker: Worker, error: PythonPoolError) -> None:
        """The worker ended the call with an error: answer it, or run an idempotent one again."""
        error.worker = worker.name
        if call.run_us:
            call.pool.promise.served(call.run_us / 1e6)
            call.pool.counters.ran(self._dispatcher.label(call), call.run_us / 1e6)
        if error.code == WorkerCrashed.code and self._may_run_again(call):
            self._run_again(call)
            return
        if error.code == WorkerCrashed.code and self.hold(call, worker, error):
            return
        if error.code == "timeout":
            error.suggestion = error.suggestion or refusals.suggestion(call, self._dispatcher.pools)
        self._dispatcher.fail(call, error)

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
        if listed is None or not listed.may_be(worker.incarnation):
            self._end_waiting(worker)
            if pool.workers.get(worker.name) is worker:
                del pool.workers[worker.name]
        pool.learn_commands()

    def pools_read(self, gone: list[Pool]) -> None:
        """The source was read again: end what waits for pools and workers that are no more.

        What runs on the workers of a deleted pool is theirs to finish: they are told to end, and
        hang up by themselves.
        """
        for pool in gone:
            for call in list(pool.line):
                self._dispatcher.leave(call, GONE)
                self._dispatcher.fail(call, refusals.pool_gone(pool))
            for worker in list(pool.workers.values()):
                self._end_waiting(worker)
        for pool in self._dispatcher.pools.by_name.values():
            for worker in list(pool.workers.values()):
                listed = pool.listed.get(worker.name)
                is_listed = listed is not None and listed.may_be(worker.incarnation)
                if worker.link is None and not is_listed:
                    self._end_waiting(worker)
                    del pool.workers[worker.name]
            for call in list(pool.line) if pool.queued else ():
                unavailable = refusals.unavailable_now(pool, 1.0)
                if unavailable is not None:
                    self._dispatcher.leave(call, GONE)
                    self._dispatcher.fail(call, unavailable)

    def _session_free(self, call: Call, worker: Worker) -> None:
        if call.session is not None:
            worker.waiting.free(call.session.secret)
            if worker.link is not None:
                self._dispatcher.serve(worker)

    def _take_over_waiting(self, before: Worker, worker: Worker) -> None:
        """Calls of sessions that this life of the worker holds wait on; others have lost theirs."""
        for call in before.waiting.clear():
            assert call.session is not None  # noqa: S101
            if call.session.incarnation == worker.incarnation:
                worker.waiting.push(call, call.session.secret)
            else:
                worker.pool.queued -= 1
                self._dispatcher.fail(call, refusals.worker_gone(call.session))

    def _end_waiting(self, worker: Worker) -> None:
        for call in worker.waiting.clear():
            worker.pool.queued -= 1
            assert call.session is not None  # noqa: S101
            self._dispatcher.fail(call, refusals.worker_gone(call.session))

    def _may_run_again(self, call: Call) -> bool:
        row = call.pool.commands.get(call.command)
        return (
            bool(row and row.get("idempotent"))
            and not call.pool.is_gone
            and not call.reruns
            and call.upload is None
            and call.session is None
            and not call.streamed
        )

    def _run_again(self, call: Call) -> None:
        call.reruns += 1
        self._dispatcher.in_flight -= 1
        timeout = max(call.pool.queue_timeout_seconds, 0.001)
        call.deadline = self._loop.time() + timeout
        worker = self._dispatcher.pick(call) if call.pool.idle else None
        self._dispatcher.in_flight += 1
        if worker is not None:
            self._dispatcher.send(call, worker, self._loop.time())
        else:
            self._dispatcher.wait(call, self._loop.time(), timeout)


def _hold_nothing(_call: Call, _worker: Worker, _error: PythonPoolError) -> bool:
    """On one machine the agent knows all that can be known."""
    return False
