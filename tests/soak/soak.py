"""Faults by seed under load, then the history checker: `python tests/soak/soak.py --seed 7`.

Exit code 0 when every promise held, 1 when one did not; the schedule is printed, and the same seed
gives it again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from soak.callers import Log
from soak.checker import violations
from soak.deaths import DeathWatch
from soak.family import shared_memory
from soak.faults import schedule
from soak.ground import SLOTS, Ground, growth, left_in_shared_memory, prepare
from soak.history import History, Pause, read_journal
from soak.load import Load, watch_stalls
from soak.strikes import Strikes

_WARM_UP_SECONDS = 3.0
_LAST_DEATHS_SECONDS = 3.0


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


async def soak(seed: int, seconds: float, keep: Path | None = None, *, calm: bool = False) -> int:
    """One soak; how many promises were broken. `calm` lets nothing fail but the callers' code."""
    before = shared_memory()
    ground = await prepare()
    log, stalls = Log(), list[Pause]()
    strikes = Strikes(ground, say)
    deaths = DeathWatch(ground.journal, log.sent)
    watching = asyncio.gather(watch_stalls(stalls.append), deaths.watch())
    wrong: list[str] = []
    try:
        wrong = await _fire(seed, seconds, ground, log, strikes, calm=calm)
        await deaths.over(_LAST_DEATHS_SECONDS)
    except AssertionError as error:
        wrong = [str(error)]
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        wrong += await ground.close() + left_in_shared_memory(before)
    pauses = tuple(strikes.pauses + stalls)
    history = History(
        tuple(log.sent),
        read_journal(ground.journal),
        pauses,
        tuple(strikes.struck),
        deaths.seen(),
        SLOTS,
    )
    wrong += violations(history)
    _report(seed, log, history, wrong)
    if keep is not None:
        _save(keep, history, ground)
    ground.clear()
    return len(wrong)


async def _fire(
    seed: int, seconds: float, ground: Ground, log: Log, strikes: Strikes, *, calm: bool
) -> list[str]:
    load = Load()
    await load.run(f"{seed}w", ground.target, log, _WARM_UP_SECONDS)
    before = await ground.settled()
    faults = () if calm else schedule(seed, seconds)
    say(f"seed {seed}: {len(faults)} faults in {seconds:.0f} s, home {ground.home}")
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(f"{seed}", ground.target, log, seconds))
        group.create_task(strikes.carry_out(faults, time.monotonic()))
    return growth(before, await ground.settled())


def _report(seed: int, log: Log, history: History, wrong: list[str]) -> None:
    codes = Counter(call.code for call in history.sent)
    waits = sorted(call.answered - call.sent for call in history.sent if call.code == "ok")
    figures = {
        "seed": seed,
        "calls": len(history.sent),
        "codes": dict(codes.most_common()),
        "causes": dict(sorted(log.causes.items())),
        "opens": log.opens,
        "ok_ms": [round(1000 * waits[int(len(waits) * q)]) for q in (0.5, 0.99)] if waits else [],
        "deaths_ms": _deaths(history),
        "stalls_s": round(sum(p.ended - p.began for p in history.pauses if "own loop" in p.why), 2),
        "broken": len(wrong),
    }
    say(json.dumps(figures))
    for text in wrong:
        say(f"BROKEN {text}")


def _deaths(history: History) -> list[int]:
    """Median and longest, ms from the answer of a call that was given up to its process's death."""
    answered = {call.nonce: call.answered for call in history.sent}
    times = sorted(one.dead - answered[one.nonce] for one in history.deaths if one.dead is not None)
    return [round(1000 * times[at]) for at in (len(times) // 2, -1)] if times else []


def _save(folder: Path, history: History, ground: Ground) -> None:
    """Everything that explains a breach: the log, the journal, the pauses and all logs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(json.dumps(asdict(history)))
    for path in [*(ground.home / "logs").iterdir(), ground.home / "said"]:
        (folder / path.name).write_bytes(path.read_bytes())


def main() -> int:
    """Read the options and soak, once for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load")
    parser.add_argument("--keep", type=Path, help="a folder for the history and the logs")
    parser.add_argument("--calm", action="store_true", help="no faults but those of the commands")
    asked = parser.parse_args()
    os.nice(5)
    broken = asyncio.run(soak(asked.seed, asked.seconds, asked.keep, calm=asked.calm))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
