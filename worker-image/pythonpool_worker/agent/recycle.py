"""When a worker is to be replaced: after so many calls, at an age, above a share of its memory.

By calls and by age it waits until no session is left; memory does not wait.
"""

import random

from pythonpool.clock import Clock
from pythonpool_worker.agent.notify import Notices
from pythonpool_worker.agent.settings import Settings
from pythonpool_worker.agent.timers import Alarm, Timers


class Recycling:
    """Watches and asks the supervisor, once. `jitter` is in 0.8 … 1.2, so that workers of one age
    are not replaced together."""

    def __init__(
        self,
        settings: Settings,
        notices: Notices,
        timers: Timers,
        clock: Clock,
        jitter: float | None = None,
    ) -> None:
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
        if limit and used * 100 > limit * self.settings.memory_percent:
            self._notices.recycle("memory")

    def asked(self) -> None:
        """Somebody asked for it."""
        self._notices.recycle("asked")

    def stuck(self) -> None:
        """A process can not be killed."""
        self._notices.recycle("stuck")

    def _is_old(self, _: object) -> None:
        self._wait("age")

    def _wait(self, why: str) -> None:
        self._due = self._due or why
        self._ask()

    def _ask(self) -> None:
        if self._due and not self._sessions:
            self._notices.recycle(self._due)
