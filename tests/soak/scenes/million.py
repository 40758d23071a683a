"""A million calls, some of which cross their deadlines, while executors die: no answer is late."""

import asyncio
import random
import time
from array import array
from collections import Counter
from collections.abc import Iterator

from soak.fastcaller import FastCaller, Quick, Tally
from soak.faults import Fault
from soak.stage import Stage

_CALLS = 1_000_000
_CONNECTIONS = 24
_CROSSING = 0.004
_KILL_SECONDS = 5.0
_LONGEST_SECONDS = 7200.0


async def million(stage: Stage) -> list[str]:
    """One call in 250 ends about when its time is up, so that it or its deadline may win."""
    calls = round(stage.scaled(_CALLS, 3000))
    tally = Tally(done=bytearray(calls))
    numbers = iter(range(calls))
    chance = random.Random(f"million-{stage.asked.seed}")
    faults = [
        Fault(_KILL_SECONDS * number, "kill", "executor", chance.random())
        for number in range(1, int(_LONGEST_SECONDS / _KILL_SECONDS))
    ]
    began = time.monotonic()
    striking = asyncio.create_task(stage.strikes.carry_out(faults, began))
    await asyncio.gather(*(_ask_all(stage, one, numbers, tally) for one in range(_CONNECTIONS)))
    seconds = time.monotonic() - began
    striking.cancel()
    await asyncio.wait([striking])
    stage.figures |= {
        "calls": calls,
        "per_s": round(calls / seconds),
        "codes": dict(tally.codes),
        "late": len(tally.late),
    }
    return tally.wrong + _late(stage, tally) + _starts(stage, calls, tally) + _codes(tally)


async def _ask_all(stage: Stage, name: int, numbers: Iterator[int], tally: Tally) -> None:
    target = stage.ground.target
    chance = random.Random(f"million-{stage.asked.seed}-{name}")
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(
        lambda: FastCaller(target, tally), target.host, target.port
    )
    for number in numbers:
        seconds, timeout = 0.0, 5.0
        if chance.random() < _CROSSING:
            timeout = chance.uniform(0.01, 0.03)
            seconds = timeout + chance.uniform(-0.003, 0.003)
        await caller.ask(Quick(number, seconds, timeout))
    caller.close()


def _late(stage: Stage, tally: Tally) -> list[str]:
    """Late by more than the machine stood still while the answer was due."""
    return [
        f"call {number} was answered {now - due:.3f} s after its deadline"
        for number, due, now in tally.late
        if now - due - stage.stalled(due, now) > 0.25
    ]


def _starts(stage: Stage, calls: int, tally: Tally) -> list[str]:
    """No call starts twice, and what was answered has started."""
    started = array("Q")
    started.frombytes(stage.ground.journal.with_suffix(".starts").read_bytes())
    wrong = [
        f"call {n} started {times} times" for n, times in Counter(started).items() if times > 1
    ]
    seen = bytearray(calls)
    for number in started:
        seen[number] = 1
    return wrong + [
        f"call {number} was answered but never started"
        for number in range(calls)
        if tally.done[number] and not seen[number]
    ]


def _codes(tally: Tally) -> list[str]:
    known = ("ok", "timeout", "worker_crashed")
    return [f"{n} calls ended with {code}" for code, n in tally.codes.items() if code not in known]
