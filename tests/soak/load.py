"""The load of one soak: its callers, and a watch on how long this process itself stood still."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from soak.callers import Caller, Log, Target
from soak.history import Pause

_BEAT_SECONDS = 0.02
_STALL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked.

    Attributes:
        callers: with single calls.
        holders: of sessions.
        rate: calls per second of all together.
    """

    callers: int = 20
    holders: int = 4
    rate: float = 50.0

    async def run(self, seed: str, target: Target, log: Log, seconds: float) -> None:
        """Call until the time is over and every answer is there."""
        interval = (self.callers + self.holders) / self.rate
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(self.callers + self.holders):
                name = f"{seed}-{number}"
                caller = Caller(name, target, log, interval, random.Random(f"caller-{name}"))
                is_holder = number >= self.callers
                group.create_task(
                    caller.hold_sessions_until(end) if is_holder else caller.call_until(end)
                )


async def wave(name: str, target: Target, log: Log, count: int) -> None:
    """So many callers at one instant, each with a connection of its own and one call."""
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            chance = random.Random(f"wave-{name}-{number}")
            caller = Caller(f"{name}-{number}", target, log, 0.0, chance)
            group.create_task(caller.call_once(chance.uniform(0.0, 0.4)))


async def watch_stalls(note: Callable[[Pause], None]) -> None:
    """Note when this loop stood still: then it is not the pool's answer that was late."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(_BEAT_SECONDS)
        ended = time.monotonic()
        if ended - began > _BEAT_SECONDS + _STALL_SECONDS:
            note(Pause(began, ended, "the callers' own loop"))
