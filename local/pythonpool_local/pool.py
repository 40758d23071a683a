"""One pool on this machine: as many workers as were ordered, replaced when they fail or age.

Level-triggered, like a Deployment: whatever happens wakes one loop, which looks at the workers,
lets `plan.decide` say what to do, and does it.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from pythonpool.clock import timestamp
from pythonpool_local import plan
from pythonpool_local.backoff import Backoff
from pythonpool_local.ground import Ground
from pythonpool_local.order import Order
from pythonpool_local.worker import Worker

CRASH_LOOP_FAILURES = 5
"""Failures in a row after which a pool that has served before is called Degraded."""

HEAD_START_SECONDS = 2.0
"""For so long at most a pool's first worker starts alone: the cores are its own, and it serves."""

Loads = Callable[[str], Awaitable[dict[str, int]]]
"""Running calls and sessions of each worker of a pool, as a router knows them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How the last worker that failed did so.

    Attributes:
        reason: one line.
        log: the last lines that it wrote.
        had_served: it had been ready before.
    """

    reason: str
    log: str
    had_served: bool


class RunningPool:
    """A pool and its workers.

    Attributes:
        order: what it should be.
        generation: counted up with every changed order.
        secret: what its agents show to routers; 256 bits as hex.
        workers: all that have a process, or stand for one that failed.
        is_settled: the first start of every worker has come to an end, good or bad.
        last_failure: of the last worker that failed since one was ready, or None.
    """

    def __init__(
        self, ground: Ground, order: Order, loads: Loads, changed: Callable[[], None]
    ) -> None:
        self.order = order
        self.generation = 1
        self.secret = secrets.token_hex(32)
        self.workers: list[Worker] = []
        self.is_settled = order.replicas == 0
        self.last_failure: Failure | None = None
        self._ground = ground
        self._loads = loads
        self._changed = changed
        self._revision = 1
        self._backoff = Backoff(ground.chance)
        self._first: set[str] | None = None
        self._judged: set[str] = set()
        self._wake = asyncio.Event()
        self._is_ending = False
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.order.name

    @property
    def ready_workers(self) -> int:
        """Workers that serve."""
        return sum(worker.state == "ready" for worker in self.workers)

    @property
    def is_degraded(self) -> bool:
        """No worker serves, and the last one that was started could not, or it crashes on."""
        if not self.is_settled or self.ready_workers or self.last_failure is None:
            return False
        return not self.last_failure.had_served or self._backoff.failures >= CRASH_LOOP_FAILURES

    @property
    def cause(self) -> str | None:
        """Why it can not serve, in one word; None when it can or may soon."""
        if self.order.replicas == 0:
            return "scaled_to_zero"
        if not self.is_degraded or self.last_failure is None:
            return None
        return "crash_looping" if self.last_failure.had_served else "cannot_start"

    @property
    def reason(self) -> str | None:
        """Why it can not serve, in one line; None when it can or may soon."""
        if self.order.replicas == 0:
            return "it has been scaled to 0 workers"
        if self.is_degraded and self.last_failure is not None:
            return self.last_failure.reason
        return None

    def start(self) -> None:
        """Start its workers, the first of them ahead, and keep them."""
        if self.order.replicas:
            self._start_worker()
        self._task = asyncio.create_task(self._begin())

    def take(self, order: Order, replaces: bool) -> None:
        """Become what a changed manifest says; `replaces`: running workers can not take it over."""
        self.order = order
        self.generation += 1
        if replaces:
            self._revision += 1
            self._backoff = Backoff(self._ground.chance)
        self._note()

    def recycle(self, worker: str) -> None:
        """Replace one worker, new before old."""
        for one in self.workers:
            if one.name == worker:
                one.recycle = one.recycle or "asked"
        self._note()

    async def end(self, grace_seconds: float) -> None:
        """Let all workers finish, for so long at most; afterwards none is left."""
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()
        for worker in self.workers:
            if not worker.is_gone:
                worker.desert(grace_seconds)
        await asyncio.gather(*(worker.gone() for worker in self.workers))
        self.workers.clear()

    def _note(self) -> None:
        self._wake.set()
        self._changed()

    async def _begin(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START_SECONDS):
                while any(worker.state == "starting" for worker in self.workers):
                    await self._wake.wait()
                    self._wake.clear()
        for _ in range(self.order.replicas - len(self.workers)):
            self._start_worker()
        self._first = {worker.name for worker in self.workers}
        self._changed()
        await self._run()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._decide_and_step()
            waits = self._backoff.wait(self._ground.now())
            try:
                async with asyncio.timeout(waits if waits > 0 else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _decide_and_step(self) -> None:
        self._judge()
        moves = self._decide({})
        if moves.drain:
            moves = self._decide(await self._loads(self.name))
        self._step(moves)

    def _decide(self, loads: dict[str, int]) -> plan.Moves:
        seats = [
            plan.Seat(
                name=worker.name,
                phase=_phase(worker),
                stays=worker.revision == self._revision and not _asks_to_go(worker),
                load=loads.get(worker.name, 0),
            )
            for worker in self.workers
        ]
        replicas = self.order.replicas
        more = 0 if self.order.uses_gpu else plan.surge(replicas)
        return plan.decide(seats, replicas, more, not self._backoff.wait(self._ground.now()))

    def _step(self, moves: plan.Moves) -> None:
        for worker in [one for one in self.workers if one.name in moves.kill]:
            worker.kill()
            if worker.is_gone:
                self.workers.remove(worker)
        for worker in self.workers:
            if worker.name in moves.drain:
                worker.drain(self.order.grace_seconds)
        for _ in range(moves.start):
            self._start_worker()

    def _start_worker(self) -> None:
        worker = Worker(self._ground, self.order, self._revision, self._note)
        self.workers.append(worker)
        if self.order.impossible:
            worker.is_gone = True
            worker.fail(self.order.impossible)
        else:
            worker.start(self.generation, self.secret, timestamp(time.time()))

    def _judge(self) -> None:
        """Count what became of each worker, and forget those that left."""
        now = self._ground.now()
        for worker in list(self.workers):
            if worker.state == "ready":
                self.last_failure = None
                self._judged.discard(worker.name)
            if worker.state in ("ready", "failed") and self._first is not None:
                self._first.discard(worker.name)
            if worker.state == "failed" and worker.name not in self._judged:
                self._judged.add(worker.name)
                self._count_failure(worker, now)
            if worker.is_gone and worker.is_leaving:
                self.workers.remove(worker)
                self._judged.discard(worker.name)
        if self._first is not None:
            self._first &= {worker.name for worker in self.workers}
        if not self.is_settled and (not self._first or self.order.replicas == 0):
            self.is_settled = True
        self._changed()

    def _count_failure(self, worker: Worker, now: float) -> None:
        had_served = worker.ready_at is not None
        before = self.last_failure
        self.last_failure = Failure(worker.reason, worker.log, had_served)
        self._backoff.failed(now, now - worker.ready_at if worker.ready_at is not None else 0.0)
        if before is None or before.reason != worker.reason:
            wait = self._backoff.wait(now)
            self._ground.report(f"{worker.name}: {worker.reason}; another in {wait:.1f} s")


def _asks_to_go(worker: Worker) -> bool:
    """One that is not ready yet is not recycled: if it can not serve, it fails, with backoff."""
    return bool(worker.recycle) and worker.state == "ready"


def _phase(worker: Worker) -> plan.Phase:
    if worker.is_leaving or worker.state == "draining":
        return "leaving"
    return worker.state
