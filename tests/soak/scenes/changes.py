"""Workers are recycled and specs change under load, with long calls in flight: none fails."""

import asyncio
import random
import time

from soak.callers import Manner
from soak.stage import Stage, only

_SECONDS = 90.0
_LONG_SECONDS = 20.0
_CALLERS = 8
_LONG_ONES = 4
_RECYCLE_SECONDS = 4.0
_CHANGE_SECONDS = 12.0


async def changes(stage: Stage) -> list[str]:
    """Workers are recycled every 4 s and all replaced every 12 s; they also recycle by calls."""
    seconds = stage.scaled(_SECONDS, 6.0)
    long = stage.scaled(_LONG_SECONDS, 2.0)
    end = time.monotonic() + seconds
    first = len(stage.log.sent)
    made: list[str] = []
    async with asyncio.TaskGroup() as group:
        for number in range(_CALLERS):
            group.create_task(_call_until(stage, f"short{number}", 0.05, end))
        for number in range(_LONG_ONES):
            group.create_task(_call_until(stage, f"long{number}", long, end - 1.0))
        group.create_task(_recycle(stage, end, made))
        group.create_task(_change(stage, end, made))
    sent = stage.log.sent[first:]
    stage.figures |= {
        "calls": len(sent),
        "long_calls": sum(call.nonce.startswith("long") for call in sent),
        "recycled": sum("202" in text for text in made),
        "changed": sum("spec" in text for text in made),
    }
    wrong = [] if stage.figures["recycled"] else [f"nothing was recycled: {made}"]
    return wrong + only(sent, "ok")


async def _call_until(stage: Stage, name: str, seconds: float, end: float) -> None:
    caller = stage.caller(name)
    while time.monotonic() < end:
        await caller.work("sleep", seconds, 40.0, Manner(queue=20.0))
        await asyncio.sleep(0.02)
    await caller.close()


async def _recycle(stage: Stage, end: float, made: list[str]) -> None:
    chance = random.Random(f"recycle-{stage.asked.seed}")
    pause = stage.scaled(_RECYCLE_SECONDS, 2.0)
    while time.monotonic() + pause < end:
        await asyncio.sleep(pause)
        made.append(await stage.ground.recycle(chance.random()))
        stage.say(f"recycle: {made[-1]}")


async def _change(stage: Stage, end: float, made: list[str]) -> None:
    pause = stage.scaled(_CHANGE_SECONDS, 2.5)
    number = 0
    while time.monotonic() + pause < end:
        await asyncio.sleep(pause)
        number += 1
        stage.ground.change_spec(str(number))
        made.append(f"spec {number}")
        stage.say(made[-1])
