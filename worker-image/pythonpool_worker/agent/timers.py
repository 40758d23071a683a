"""Everything that is to happen later: deadlines, offers, TTLs, graces. One armed timer for all.

Pure but for the call that arms it; nearly every alarm is cancelled long before it is due, so
cancelling costs nothing and what is left over is swept out now and then.
"""

import heapq
import logging
from collections.abc import Callable
from typing import Any

from pythonpool.clock import Clock

_log = logging.getLogger("pythonpool.agent")

_SWEEP = 256
"""Cancelled alarms that are kept before the first sweep."""


class Alarm:
    """One thing to do at a moment. `when` is in seconds of the monotonic clock."""

    __slots__ = ("_timers", "action", "argument", "when")

    def __init__(
        self, timers: "Timers", when: float, action: Callable[[Any], None], argument: object
    ) -> None:
        self._timers = timers
        self.when = when
        self.action: Callable[[Any], None] | None = action
        self.argument = argument

    def cancel(self) -> None:
        """It will not ring; any number of times."""
        if self.action is not None:
            self.action = None
            self.argument = None
            self._timers.one_is_cancelled()


class Timers:
    """Rings alarms in the order of their moments; `arm(when)` is told when to call `ring`."""

    __slots__ = ("_arm", "_armed", "_cancelled", "_clock", "_count", "_heap")

    def __init__(self, clock: Clock, arm: Callable[[float], None]) -> None:
        self._clock = clock
        self._arm = arm
        self._armed = float("inf")
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, when: float, action: Callable[[Any], None], argument: object = None) -> Alarm:
        """Call `action(argument)` at `when`."""
        alarm = Alarm(self, when, action, argument)
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, alarm))
        if when < self._armed:
            self._armed = when
            self._arm(when)
        return alarm

    def after(
        self, seconds: float, action: Callable[[Any], None], argument: object = None
    ) -> Alarm:
        """Call `action(argument)` in `seconds`."""
        return self.at(self._clock.monotonic() + seconds, action, argument)

    def one_is_cancelled(self) -> None:
        """Told by an alarm; sweeps when most of what is kept is cancelled."""
        self._cancelled += 1
        if self._cancelled > _SWEEP and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def ring(self) -> None:
        """Ring what is due and arm for the next; an alarm that raises is logged."""
        self._armed = float("inf")
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            alarm = heapq.heappop(self._heap)[2]
            action, argument = alarm.action, alarm.argument
            if action is None:
                self._cancelled = max(0, self._cancelled - 1)
                continue
            alarm.action = None
            try:
                action(argument)
            except Exception:  # noqa: BLE001 - an alarm must not take the others with it
                _log.exception("an alarm failed")
        self._rearm()

    def _rearm(self) -> None:
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self._cancelled = max(0, self._cancelled - 1)
        if self._heap and self._heap[0][0] < self._armed:
            self._armed = self._heap[0][0]
            self._arm(self._armed)
