"""Calls that do not end by themselves: the zoo of stuck code, callers that vanish, cancels."""

import asyncio
import random
import time
from collections import Counter

from soak.callers import ZOO, Manner
from soak.stage import Stage, only, percentile

_ZOO_CALLS = 1000
_ZOO_ABREAST = 16
_VANISHING = 500
_ROUNDS = 5
_FREE_SECONDS = 2.0
_TAKEN_SECONDS = 15.0
_CANCELS = 10_000
_CANCELLERS = 6


async def zoo(stage: Stage) -> list[str]:
    """Stuck code of every kind with 0.1 to 5 s to run: each call is answered in time, and dead."""
    count = round(stage.scaled(_ZOO_CALLS, 40))
    longest = 5.0 if count == _ZOO_CALLS else 1.0
    first = len(stage.log.sent)
    numbers = iter(range(count))

    async def keeper_of_one(name: int) -> None:
        caller = stage.caller(f"zoo{name}")
        for number in numbers:
            timeout = 0.1 * (longest / 0.1) ** caller.chance.random()
            manner = Manner(queue=30.0)
            await caller.work(ZOO[number % len(ZOO)], 600.0, timeout, manner)
        await caller.close()

    await asyncio.gather(*(keeper_of_one(name) for name in range(_ZOO_ABREAST)))
    sent = stage.log.sent[first:]
    late = [1000 * (call.answered - call.sent - call.allowed) for call in sent]
    stage.figures |= {
        "calls": len(sent),
        "late_ms": [round(percentile(late, share)) for share in (0.5, 0.99, 1.0)],
    }
    return only(sent, "timeout")


async def vanish(stage: Stage) -> list[str]:
    """500 callers run and wait, then all hang up at one instant: within 2 s every slot is free."""
    wrong: list[str] = []
    took: list[float] = []
    for number in range(round(stage.scaled(_ROUNDS, 1))):
        gone = asyncio.Event()
        calls = [
            asyncio.create_task(_until(stage, f"vanish{number}-{one}", gone))
            for one in range(_VANISHING)
        ]
        await _all_slots_taken(stage)
        began = time.monotonic()
        gone.set()
        await asyncio.gather(*calls)
        while busy := await stage.ground.busy():
            if time.monotonic() > began + 10 * _FREE_SECONDS:
                break
            await asyncio.sleep(0.02)
        now = time.monotonic()
        took.append(now - began)
        if took[-1] - stage.stalled(began, now) > _FREE_SECONDS:
            wrong.append(f"slots were free only after {took[-1]:.2f} s {busy}")
    stage.figures |= {"callers": _VANISHING, "free_s": [round(each, 2) for each in took]}
    return wrong


async def _until(stage: Stage, name: str, gone: asyncio.Event) -> None:
    """One call, hung up when it is time; noted as `gone` by its caller's patience of nothing."""
    caller = stage.caller(name)
    call = asyncio.create_task(caller.work("sleep", 50.0, 60.0, Manner(queue=60.0)))
    await gone.wait()
    call.cancel()
    await asyncio.wait([call])
    await caller.close()


async def _all_slots_taken(stage: Stage) -> None:
    plan, began = stage.ground.plan, time.monotonic()
    while (shown := await stage.ground.counts()) != (plan.all_slots, _VANISHING - plan.all_slots):
        now = time.monotonic()
        if now - began - stage.stalled(began, now) > _TAKEN_SECONDS:
            ended = Counter(call.code for call in stage.log.sent if call.nonce.startswith("vanish"))
            raise AssertionError(f"{shown} run and wait, of {_VANISHING}; {dict(ended)}")
        await asyncio.sleep(0.02)


async def cancels(stage: Stage) -> list[str]:
    """10,000 callers hang up about when their results come: no slot is lost, none given twice."""
    count = round(stage.scaled(_CANCELS, 300))
    first = len(stage.log.sent)
    numbers = iter(range(count))
    began = time.monotonic()

    async def canceller(name: int) -> None:
        chance = random.Random(f"cancel-{stage.asked.seed}-{name}")
        caller = stage.caller(f"cancel{name}")
        for _ in numbers:
            seconds = chance.uniform(0.0, 0.03)
            leaves = max(0.0, seconds + chance.uniform(-0.01, 0.03))
            await caller.work("sleep", seconds, 5.0, Manner(leaves_after=leaves))
        await caller.close()

    await asyncio.gather(*(canceller(name) for name in range(_CANCELLERS)))
    sent = stage.log.sent[first:]
    gone = sum(call.code == "gone" for call in sent)
    stage.figures |= {
        "calls": len(sent),
        "cancelled": gone,
        "per_s": round(len(sent) / (time.monotonic() - began)),
    }
    wrong = [] if len(sent) / 5 < gone < len(sent) else [f"{gone} of {len(sent)} were cancelled"]
    return wrong + only(sent, "ok", "gone")
