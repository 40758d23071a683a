"""Ten times what the pool can do, in waves: goodput, prompt refusals, and honest promises."""

import asyncio
import time

from soak.callers import Manner
from soak.history import Sent
from soak.stage import Stage, percentile

_SERVICE_SECONDS = 0.1
_CALM_SECONDS = 3.0
_WAVES = 5
_TIMES = 10
_QUEUE_SECONDS = 20.0
_MANNER = Manner(queue=_QUEUE_SECONDS)


async def overload(stage: Stage) -> list[str]:
    """Waves of ten times a second's capacity; who is refused comes back when told, once.

    Goodput under it is at least 95 % of the capacity that a calm load had just before, and four in
    five of those who obey are admitted.
    """
    capacity = await _capacity(stage)
    waves = round(stage.scaled(_WAVES, 1))
    admitted: list[float] = []
    goodputs: list[float] = []
    refusals: list[float] = []
    for wave in range(waves):
        first, back = await _wave(stage, wave, round(capacity * stage.scaled(_TIMES, 5)))
        refused = [call for call in first if call.code == "resource_exhausted"]
        refusals += [1000 * (call.answered - call.sent) for call in refused]
        admitted.append(sum(call.code == "ok" for call in back) / max(len(back), 1))
        goodputs.append(_goodput([*first, *back]))
    stage.figures |= {
        "capacity_per_s": round(capacity, 1),
        "goodput": [round(each / capacity, 3) for each in goodputs],
        "refused": len(refusals),
        "refusal_ms": [round(percentile(refusals, share)) for share in (0.5, 0.99)],
        "admitted": [round(each, 3) for each in admitted],
    }
    wrong = [f"only {each:.0%} were admitted" for each in admitted if each < 0.8]
    return wrong + [
        f"goodput {each:.1f} of {capacity:.1f} calls/s"
        for each in goodputs
        if each < 0.9 * capacity
    ]


async def _capacity(stage: Stage) -> float:
    """Calls a second with every slot in use and nobody refused."""
    end = time.monotonic() + _CALM_SECONDS
    done: list[float] = []

    async def call(name: int) -> None:
        caller = stage.caller(f"calm{name}")
        while time.monotonic() < end:
            await caller.work("sleep", _SERVICE_SECONDS, 5.0, _MANNER)
            done.append(time.monotonic())
        await caller.close()

    await asyncio.gather(*(call(name) for name in range(2 * stage.ground.plan.all_slots)))
    return sum(each <= end for each in done) / _CALM_SECONDS


async def _wave(stage: Stage, wave: int, count: int) -> tuple[list[Sent], list[Sent]]:
    async def call(name: str) -> tuple[Sent, Sent | None]:
        caller = stage.caller(name)
        first = await caller.work("sleep", _SERVICE_SECONDS, 5.0, _MANNER)
        second = None
        if first.retry_after_ms is not None:
            await asyncio.sleep(first.retry_after_ms / 1000)
            second = await caller.work("sleep", _SERVICE_SECONDS, 5.0, _MANNER)
        await caller.close()
        return first, second

    pairs = await asyncio.gather(*(call(f"wave{wave}-{number}") for number in range(count)))
    return [first for first, _ in pairs], [second for _, second in pairs if second is not None]


def _goodput(sent: list[Sent]) -> float:
    """Good answers a second, from the first call to the last promise that was made."""
    good = sorted(call.answered for call in sent if call.code == "ok")
    began = min(call.sent for call in sent)
    last = good[round(0.9 * (len(good) - 1))]
    return sum(at <= last for at in good) / (last - began)
