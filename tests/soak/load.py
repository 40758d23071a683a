"""The load of one soak: its callers, and a watch on how long this process itself stood still."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from soak.callers import Caller, Log, Target
from soak.history import Pause
from soak.plan import Plan

_BEAT_SECONDS = 0.02
_STALL_SECONDS = 0.02
PLAIN = Plan()


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked.

    Attributes:
        callers: with single calls.
        holders: of sessions.
        rate: calls per second of all together.
        longest: None: calls of all shapes; else all calls sleep, for up to so many seconds.
    """

    callers: int = 20
    holders: int = 4
    rate: float = 50.0
    longest: float | None = None

    async def run(
        self, seed: str, target: Target, log: Log, seconds: float, plan: Plan = PLAIN
    ) -> None:
        """Call until the time is over and every answer is there."""
        interval = (self.callers + self.holders) / self.rate
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(self.callers + self.holders):
                name = f"{seed}-{number}"
                chance = random.Random(f"caller-{name}")
                caller = Caller(name, target, log, interval, chance, plan)
                is_holder = number >= self.callers
                group.create_task(
                    caller.hold_sessions_until(end)
                    if is_holder
                    else caller.call_until(end, longest=self.longest)
                )


async def wave(name: str, target: Target, log: Log, count: int, plan: Plan = PLAIN) -> None:
    """So many callers at one instant, each with a connection of its own and one call."""
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            chance = random.Random(f"wave-{name}-{number}")
            caller = Caller(f"{name}-{number}", target, log, 0.0, chance, plan)
            group.create_task(caller.call_once(chance.uniform(0.0, 0.4)))


async def watch_stalls(note: Callable[[Pause], None]) -> None:
    """Note when this loop stood still: then it is not the pool's answer that was late."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(_BEAT_SECONDS)
        ended = time.monotonic()
        if ended - began > _BEAT_SECONDS + _STALL_SECONDS:
            note(Pause(began + _BEAT_SECONDS, ended, "the callers' own loop", is_measured=True))
