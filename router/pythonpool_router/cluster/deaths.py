"""Why workers died: remembered when the pod watch brings it, told to those whose calls it ended.

A link breaks before the API server knows why. Such calls are held for up to two seconds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pythonpool.errors import PythonPoolError
from pythonpool_router.call import GONE, Call
from pythonpool_router.cluster.pods import Death, Pod
from pythonpool_router.workers import Worker

HOLD_SECONDS = 2.0
# The kubelet may tell of a container's end a little before the agent, or the kernel, does.
_EARLY_SECONDS = 3.0
_KEPT = 1000
_UNEXPLAINED = ("link_lost", "unknown")


class Deaths:
    """The last death of each worker, and when this router first heard of it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_worker: dict[str, tuple[Death, float]] = {}
        self.on_new: Callable[[Pod, Death], None] = lambda _pod, _death: None

    def look(self, pod: Pod) -> None:
        """A pod as it is now."""
        if pod.death is None:
            return
        known = self._by_worker.pop(pod.name, None)
        is_new = known is None or known[0].key != pod.death.key
        since = self._clock() if known is None or is_new else known[1]
        self._by_worker[pod.name] = (pod.death, since)
        if len(self._by_worker) > _KEPT:
            del self._by_worker[next(iter(self._by_worker))]
        if is_new:
            self.on_new(pod, pod.death)

    def of(self, worker: str, when: float) -> Death | None:
        """What ended a call of that worker at `when`; an older end of a container did not."""
        known = self._by_worker.get(worker)
        if known is None or not (known[0].is_of_pod or known[1] >= when - _EARLY_SECONDS):
            return None
        return known[0]


@dataclass(slots=True)
class _Held:
    call: Call
    error: PythonPoolError
    worker: str
    since: float


class Postmortem:
    """Holds failed calls until the reason is known; `fail` ends them."""

    def __init__(self, deaths: Deaths, fail: Callable[[Call, PythonPoolError], None]) -> None:
        self._deaths = deaths
        self._fail = fail
        self._held: list[_Held] = []
        self._loop = asyncio.get_running_loop()

    def hold(self, call: Call, worker: Worker, error: PythonPoolError) -> bool:
        """Take over a call that a death has ended; False: there is nothing to find out."""
        if error.cause not in _UNEXPLAINED:
            return False
        now = self._loop.time()
        call.link = None
        held = _Held(call, error, worker.name, now)
        if not self._explain(held):
            self._held.append(held)
            self._loop.call_later(HOLD_SECONDS, self._let_go, held)
        return True

    def news(self) -> None:
        """A death was heard of."""
        self._held = [held for held in self._held if not self._explain(held)]

    def _explain(self, held: _Held) -> bool:
        death = self._deaths.of(held.worker, held.since)
        if death is None:
            return False
        error = death.error(held.worker)
        error.outcome = held.error.outcome
        self._end(held, error)
        return True

    def _let_go(self, held: _Held) -> None:
        if held in self._held:
            self._held.remove(held)
            self._end(held, held.error)

    def _end(self, held: _Held, error: PythonPoolError) -> None:
        if held.call.state != GONE:
            self._fail(held.call, error)
