"""The health monitor: every pool is looked at once in its health-check period.

Started by main. Asks each worker that is linked whether it answers, logs available, busy and total
slots and the workers' memory, and counts the result for `/metrics`.
"""

import asyncio
import random

from pythonpool.errors import PythonPoolError
from pythonpool_router.logs import Logger
from pythonpool_router.pools import Pool, Pools
from pythonpool_router.refusals import SCALED_TO_ZERO
from pythonpool_router.sessions import Sessions
from pythonpool_router.standing import linked, states

_log = Logger()

ANSWER_SECONDS = 3.0
"""How long a worker may take to answer; the agent has nothing else to do than to answer."""


class HealthMonitor:
    """Checks pools, each in its own period ± 20 %.

    Attributes:
        results: `(pool, "ok" or "failed")` to the number of checks.
    """

    def __init__(self, pools: Pools, sessions: Sessions) -> None:
        self.results: dict[tuple[str, str], int] = {}
        self._pools = pools
        self._sessions = sessions
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        """Check pools as they come due, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            self._plan(now)
            due = [name for name, when in self._due.items() if when <= now]
            await asyncio.gather(*(self.check(self._pools.by_name[name]) for name in due))
            for name in due:
                self._due.pop(name, None)
            await asyncio.sleep(self._pause(loop.time()))

    def _plan(self, now: float) -> None:
        for name in [name for name in self._due if name not in self._pools.by_name]:
            del self._due[name]
        for name, pool in self._pools.by_name.items():
            self._due.setdefault(name, now + _period(pool) * random.uniform(0.8, 1.2))  # noqa: S311

    def _pause(self, now: float) -> float:
        """Until the next check is due; 5 s at most, so that new pools and periods are seen."""
        return min(max(min(self._due.values(), default=now + 5.0) - now, 0.05), 5.0)

    async def check(self, pool: Pool) -> bool:
        """Look at one pool once; log and count what was found."""
        reasons = await self._reasons(pool)
        result = "failed" if reasons else "ok"
        self.results[pool.name, result] = self.results.get((pool.name, result), 0) + 1
        slots = pool.slots()
        figures = {
            "pool": pool.name,
            "available": slots.available,
            "busy": slots.busy,
            "total": slots.total,
            "queued": pool.queued,
            "memory_bytes": sum(worker.memory_bytes for worker in linked(pool)),
        }
        if reasons:
            _log.error("health_check", result=result, reason="; ".join(reasons), **figures)
        else:
            _log.info("health_check", result=result, **figures)
        return not reasons

    async def _reasons(self, pool: Pool) -> list[str]:
        """Why the pool is not well; empty when it is."""
        if not pool.listed and pool.cause == SCALED_TO_ZERO:
            return []
        if pool.reason is not None:
            return [pool.reason]
        if not pool.is_ready:
            return [f"no worker is ready ({states(pool)['starting']} starting)"]
        workers = [worker for worker in linked(pool) if worker.state == "ready"]
        answers = await asyncio.gather(
            *(
                self._sessions.ask(worker, {"op": "session.list", "owner": ""}, ANSWER_SECONDS)
                for worker in workers
            ),
            return_exceptions=True,
        )
        return [
            f"worker {worker.name}: {_words(answer)}"
            for worker, answer in zip(workers, answers, strict=True)
            if isinstance(answer, BaseException)
        ]


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {ANSWER_SECONDS:.0f} s"
    return error.detail if isinstance(error, PythonPoolError) else repr(error)


def _period(pool: Pool) -> float:
    return float(pool.spec["healthCheck"]["periodSeconds"])
