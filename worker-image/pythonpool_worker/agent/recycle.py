"""When a worker is to be replaced: after so many calls, at an age, above a share of its memory.

By calls and by age it waits until no session is left; memory does not wait.

Whoever makes workers hears of the wish, makes the new one ready and then ends this one: on one
machine the supervisor, in a cluster the operator, who asks the routers. A pod drains and starts
again in its place when nobody can (a pool with GPUs), or when nobody has and it can not serve on.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from pythonpool.clock import Clock
from pythonpool_worker.agent.notify import Notices
from pythonpool_worker.agent.settings import Settings
from pythonpool_worker.agent.timers import Alarm, Timers

PATIENCE_SECONDS = 60.0
"""How long a pod that is short of memory, or has a process that can not be killed, serves on."""

_URGENT = ("memory", "stuck")


@dataclass(frozen=True, slots=True)
class InPlace:
    """A pod's own way: drain, end, and be started again by its kubelet.

    Attributes:
        drain: begins it.
        is_usual: no new pod is made first.
    """

    drain: Callable[[], None]
    is_usual: bool


class Recycling:
    """Watches, and asks once. `jitter` is in 0.8 … 1.2, so that workers of one age are not
    replaced together.

    Attributes:
        wish: why it is to be replaced (`calls`, `age`, `memory`, `asked`, `stuck`), or empty.
        on_wish: told of each new wish.
    """

    def __init__(
        self,
        settings: Settings,
        notices: Notices,
        timers: Timers,
        clock: Clock,
        jitter: float | None = None,
        in_place: InPlace | None = None,
    ) -> None:
        self.wish = ""
        self.on_wish: Callable[[], None] = _nothing
        self._in_place = in_place
        self._is_over = self._is_stuck = False
        self._notices = notices
        self._timers = timers
        self._clock = clock
        self._jitter = jitter or random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        self._born = clock.monotonic()
        self._alarm: Alarm | None = None
        self._due = ""
        self._sessions = 0
        self.settings = settings
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Newer settings."""
        self.settings = settings
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if settings.max_age_seconds is not None:
            when = self._born + settings.max_age_seconds * self._jitter
            self._alarm = self._timers.at(when, self._is_old)

    def counted(self, calls: int) -> None:
        """So many calls have ended."""
        most = self.settings.max_calls
        if most is not None and calls >= most * self._jitter:
            self._wait("calls")

    def sessions(self, count: int) -> None:
        """So many sessions are open."""
        self._sessions = count
        self._ask()

    def memory(self, used: int, limit: int | None) -> None:
        """The keeper's figures in bytes."""
        self._is_over = bool(limit) and used * 100 > (limit or 0) * self.settings.memory_percent
        if self._is_over:
            self._want("memory")

    def asked(self) -> None:
        """Somebody asked for it."""
        self._want("asked")

    def stuck(self) -> None:
        """A process can not be killed."""
        self._is_stuck = True
        self._want("stuck")

    def _is_old(self, _: object) -> None:
        self._wait("age")

    def _wait(self, why: str) -> None:
        self._due = self._due or why
        self._ask()

    def _ask(self) -> None:
        if self._due and not self._sessions:
            self._want(self._due)

    def _want(self, why: str) -> None:
        if self.wish in _URGENT or (self.wish and why not in _URGENT):
            return
        self.wish = why
        self._notices.recycle(why)
        self.on_wish()
        if self._in_place is None:
            return
        if self._in_place.is_usual:
            self._in_place.drain()
        elif why in _URGENT:
            self._timers.after(PATIENCE_SECONDS, self._nobody_came)

    def _nobody_came(self, _: object) -> None:
        if self._in_place is None:
            return
        if self._is_over or self._is_stuck:
            self._in_place.drain()
        else:
            self._timers.after(PATIENCE_SECONDS, self._nobody_came)


def _nothing() -> None:
    """Nobody listens."""
