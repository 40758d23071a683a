"""Ten times what the pool can do, in waves: goodput, prompt refusals, and honest promises."""

import asyncio
import time

from soak.callers import Manner
from soak.history import Sent
from soak.stage import Stage, percentile

_SERVICE_SECONDS = 0.1
_CALM_SECONDS = 3.0
_WAVES = 20
_GOODPUT = 0.95
_SHORT_GOODPUT = 0.85
"""Of a few seconds: the beginning and the end weigh more."""
_NOISE = 0.02
_TIMES = 10
_QUEUE_SECONDS = 20.0
_MANNER = Manner(queue=_QUEUE_SECONDS)


async def overload(stage: Stage) -> list[str]:
    """Each second a wave of ten times a second's capacity; then one whose refused obey, once.

    Goodput under the waves is that of the calm load just before and after, refusals come at once,
    and four in five of those who obey are admitted.
    """
    before = await _capacity(stage, "before")
    times = round(stage.scaled(_TIMES, 3))
    waves = round(stage.scaled(_WAVES, 3))
    began = time.monotonic()
    goodput, sent = await _waves(stage, waves, round(before * times))
    stood_still = stage.stalled(began, time.monotonic()) / (time.monotonic() - began)
    capacity = min(before, await _capacity(stage, "after"))
    refusals = [
        1000 * (call.answered - call.sent) for call in sent if call.code == "resource_exhausted"
    ]
    back = await _obedient(stage, round(before * times))
    admitted = sum(call.code == "ok" for call in back) / max(len(back), 1)
    stage.figures |= {
        "times": times,
        "capacity_per_s": round(capacity, 1),
        "goodput": round(goodput / capacity, 3),
        "refused": len(refusals),
        "refusal_ms": [round(percentile(refusals, share)) for share in (0.5, 0.99)],
        "obeyed": len(back),
        "admitted": round(admitted, 3),
    }
    wrong = [] if admitted >= 0.8 else [f"only {admitted:.0%} of {len(back)} were admitted"]
    if stood_still > _NOISE:
        stage.say(f"goodput is not judged: the machine stood still {stood_still:.0%} of it")
    elif goodput < (_GOODPUT if times == _TIMES else _SHORT_GOODPUT) * capacity:
        wrong.append(f"goodput {goodput:.1f} of {capacity:.1f} calls/s")
    return wrong


async def _waves(stage: Stage, waves: int, count: int) -> tuple[float, list[Sent]]:
    """Good answers a second while waves come, and all that was sent."""
    began = time.monotonic()
    calls: list[asyncio.Task[Sent]] = []
    for wave in range(waves):
        await asyncio.sleep(max(0.0, began + wave - time.monotonic()))
        calls += [
            asyncio.create_task(
                stage.call_once(f"wave{wave}-{number}", "sleep", _SERVICE_SECONDS, 5.0, _MANNER)
            )
            for number in range(count)
        ]
    sent = [await call for call in calls]
    good = sorted(call.answered for call in sent if call.code == "ok")
    # From the first answer on: a line that was empty is no worse.
    return (len(good) - 1) / max(good[-1] - good[0], 0.001), sent


async def _capacity(stage: Stage, when: str) -> float:
    """Calls a second with every slot in use and nobody refused."""
    seconds = stage.scaled(_CALM_SECONDS, 1.5)
    end = time.monotonic() + seconds
    done: list[float] = []

    async def call(name: int) -> None:
        caller = stage.caller(f"{when}{name}")
        while time.monotonic() < end:
            await caller.work("sleep", _SERVICE_SECONDS, 5.0, _MANNER)
            done.append(time.monotonic())
        await caller.close()

    await asyncio.gather(*(call(name) for name in range(2 * stage.ground.plan.all_slots)))
    return sum(each <= end for each in done) / seconds


async def _obedient(stage: Stage, count: int) -> list[Sent]:
    """One wave; what became of those who were refused and came back when they were told."""

    async def call(name: str) -> Sent | None:
        caller = stage.caller(name)
        first = await caller.work("sleep", _SERVICE_SECONDS, 5.0, _MANNER)
        second = None
        if first.retry_after_ms is not None:
            await asyncio.sleep(first.retry_after_ms / 1000)
            second = await caller.work("sleep", _SERVICE_SECONDS, 5.0, _MANNER)
        await caller.close()
        return second

    backs = await asyncio.gather(*(call(f"obedient{number}") for number in range(count)))
    return [second for second in backs if second is not None]
