"""Everything fails by seed, and what fails is known: the soak itself, and a storm of crashes."""

import asyncio
import random
import time

from soak.faults import Fault, schedule
from soak.history import Sent
from soak.load import Load
from soak.stage import Stage, only

_STORM_SECONDS = 120.0
_STORM_GAP_SECONDS = 2.0


async def fire(stage: Stage) -> list[str]:
    """The seed's load under the seed's faults; the history checker judges."""
    asked, ground = stage.asked, stage.ground
    faults = () if asked.calm else schedule(asked.seed, asked.seconds, asked.gap)
    stage.say(f"{len(faults)} faults in {asked.seconds:.0f} s")
    await _under(stage, Load(), asked.seconds, faults)
    return [] if ground.house.process.poll() is None else ["up itself has ended"]


async def storm(stage: Stage) -> list[str]:
    """An executor or a keeper dies every 2 s under 100 calls a second.

    Only calls that ran there may fail (the checker's `crashes_have_a_cause`), and only so.
    """
    seconds = stage.scaled(_STORM_SECONDS, 6.5)
    chance = random.Random(f"storm-{stage.asked.seed}")
    faults = [
        Fault(at, "kill", chance.choice(("executor", "executor", "keeper")), chance.random())
        for at in _every(_STORM_GAP_SECONDS, seconds)
    ]
    first = len(stage.log.sent)
    await _under(stage, Load(callers=40, holders=0, rate=100.0, longest=0.2), seconds, faults)
    sent = stage.log.sent[first:]
    crashed = [call for call in sent if call.code == "worker_crashed"]
    stage.figures |= {
        "kills": len(faults),
        "calls": len(sent),
        "failed": len(crashed),
        "told_ms": _told(stage, crashed),
    }
    return only(sent, "ok", "worker_crashed")


def _told(stage: Stage, crashed: list[Sent]) -> int:
    """The longest from a kill to the answer of a call that it hit, ms."""
    kills = [strike.began for strike in stage.strikes.struck]
    took = [call.answered - max(k for k in kills if k <= call.answered) for call in crashed]
    return round(1000 * max(took, default=0.0))


def _every(gap: float, seconds: float) -> list[float]:
    return [gap * number for number in range(1, int(seconds / gap))]


async def _under(
    stage: Stage, load: Load, seconds: float, faults: list[Fault] | tuple[Fault, ...]
) -> None:
    ground = stage.ground
    async with asyncio.TaskGroup() as group:
        group.create_task(
            load.run(f"{stage.asked.seed}", ground.target, stage.log, seconds, ground.plan)
        )
        group.create_task(stage.strikes.carry_out(faults, time.monotonic()))
