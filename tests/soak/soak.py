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
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Asked:
    """What to soak.

    Attributes:
        seed: of the load and of the faults.
        seconds: of load.
        keep: a folder for the history and the logs, or None.
        calm: nothing fails but the commands.
        isolation: of the pool: process or thread.
        gap: mean seconds from one fault to the next, more than 0.2.
    """

    seed: int = 1
    seconds: float = 60.0
    keep: Path | None = None
    calm: bool = False
    isolation: str = "process"
    gap: float = 1.5


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


async def soak(asked: Asked) -> int:
    """One soak; how many promises were broken."""
    before = shared_memory()
    ground = await prepare(asked.isolation)
    log, stalls = Log(), list[Pause]()
    strikes = Strikes(ground, log, say)
    deaths = DeathWatch(ground.journal, log.sent)
    watching = asyncio.gather(watch_stalls(stalls.append), deaths.watch())
    wrong: list[str] = []
    try:
        wrong = await _fire(asked, ground, log, strikes)
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
        asked.isolation == "thread",
    )
    wrong += violations(history)
    _report(asked.seed, log, history, wrong)
    if asked.keep is not None:
        _save(asked.keep, history, ground)
    ground.clear()
    return len(wrong)


async def _fire(asked: Asked, ground: Ground, log: Log, strikes: Strikes) -> list[str]:
    load = Load()
    await load.run(f"{asked.seed}w", ground.target, log, _WARM_UP_SECONDS)
    before = await ground.settled()
    faults = () if asked.calm else schedule(asked.seed, asked.seconds, asked.gap)
    say(f"seed {asked.seed}: {len(faults)} faults in {asked.seconds:.0f} s, home {ground.home}")
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(f"{asked.seed}", ground.target, log, asked.seconds))
        group.create_task(strikes.carry_out(faults, time.monotonic()))
    began = time.monotonic()
    after = await ground.settled()
    say(f"at rest after {time.monotonic() - began:.1f} s")
    return growth(before, after)


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
    ended = {line.nonce for line in history.journal if line.is_end}
    times = sorted(
        one.dead - answered[one.nonce]
        for one in history.deaths
        if one.dead is not None and one.nonce not in ended
    )
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
    parser.add_argument("--seed", type=int, default=Asked.seed)
    parser.add_argument("--seconds", type=float, default=Asked.seconds, help="of load")
    parser.add_argument("--keep", type=Path, help="a folder for the history and the logs")
    parser.add_argument("--isolation", choices=("process", "thread"), default="process")
    parser.add_argument("--gap", type=float, default=Asked.gap, help="mean seconds between faults")
    parser.add_argument("--calm", action="store_true", help="no faults but those of the commands")
    asked = parser.parse_args()
    os.nice(5)
    return 1 if asyncio.run(soak(Asked(**vars(asked)))) else 0


if __name__ == "__main__":
    sys.exit(main())
