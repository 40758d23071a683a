"""One soak from its first process to its last: play the scenario, then hold log against journal."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soak.callers import Log
from soak.checker import violations, widened
from soak.deaths import DeathWatch
from soak.family import shared_memory
from soak.ground import Ground, growth, left_in_shared_memory, prepare
from soak.heartbeat import watch_machine
from soak.history import History, Pause, read_journal
from soak.load import Load, watch_stalls
from soak.plan import VARIANTS
from soak.scenarios import SCENARIOS
from soak.stage import Asked, Stage, percentile
from soak.strikes import Strikes

_WARM_UP_SECONDS = 3.0
_SHORT_WARM_UP_SECONDS = 0.5
_LAST_DEATHS_SECONDS = 3.0
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a soak.

    Attributes:
        asked: for.
        figures: measured.
        wrong: promises that were broken, a line each.
    """

    asked: Asked
    figures: dict[str, Any]
    wrong: list[str]

    def __str__(self) -> str:
        verdict = f"{len(self.wrong)} BROKEN" if self.wrong else "held"
        shown = {key: self.figures[key] for key in _SUMMED if key in self.figures}
        own = self.figures.get("own") or {}
        text = ", ".join(f"{key} {value}" for key, value in {**shown, **own}.items())
        return (
            f"{self.asked.scenario} {self.asked.variant} seed {self.asked.seed}: {verdict}; {text}"
        )


_SUMMED = ("calls", "ok_ms", "widened", "stalls_s", "load")


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


async def soak(asked: Asked) -> Result:
    """One soak."""
    before = shared_memory()
    scenario = SCENARIOS[asked.scenario]
    ground = await prepare(scenario.plan or VARIANTS[asked.variant])
    log, stalls = Log(), list[Pause]()
    stage = Stage(asked, ground, log, Strikes(ground, log, say), say, stalls)
    deaths = DeathWatch(ground.journal, log.sent, report=say)
    watching = asyncio.gather(
        watch_stalls(stalls.append), watch_machine(stalls.append), deaths.watch()
    )
    say(f"{asked.scenario}, seed {asked.seed}, home {ground.home}: {scenario.promise}")
    wrong: list[str] = []
    try:
        wrong = await _played(stage)
        await deaths.over(_LAST_DEATHS_SECONDS)
    except AssertionError as error:
        wrong = [str(error)]
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        wrong += await _end(stage) + left_in_shared_memory(before)
    history = _history(stage, stalls, deaths)
    wrong += violations(history)
    result = Result(asked, _figures(stage, history), wrong)
    _report(result)
    if asked.keep is not None:
        _save(asked.keep, history, ground)
    ground.clear()
    return result


async def _played(stage: Stage) -> list[str]:
    """Warm up, play, come to rest; what was not as promised."""
    ground, asked = stage.ground, stage.asked
    warm_up = _WARM_UP_SECONDS if asked.scale == 1.0 else _SHORT_WARM_UP_SECONDS
    await Load().run(f"{asked.seed}w", ground.target, stage.log, warm_up, ground.plan)
    before = await ground.settled(stage.stalled)
    wrong = await SCENARIOS[asked.scenario].play(stage)
    if asked.end == "kill":
        return wrong
    began = time.monotonic()
    after = await ground.settled(stage.stalled)
    stage.figures["at_rest_s"] = round(time.monotonic() - began, 1)
    return wrong + growth(before, after)


async def _end(stage: Stage) -> list[str]:
    if stage.asked.end != "kill":
        return await stage.ground.close()
    wrong, seconds = await stage.ground.kill()
    stage.figures["gone_s"] = round(seconds, 2)
    return wrong


def _history(stage: Stage, stalls: Sequence[Pause], deaths: DeathWatch) -> History:
    plan = stage.ground.plan
    return History(
        tuple(stage.log.sent),
        read_journal(stage.ground.journal),
        (*stage.strikes.pauses, *stalls),
        tuple(stage.strikes.struck),
        deaths.seen(),
        plan.slots,
        is_shared=plan.isolation == "thread",
        finishes=plan.on_disconnect == "Finish",
        is_kept=plan.persistence == "Worker",
    )


def _figures(stage: Stage, history: History) -> dict[str, Any]:
    codes = Counter(call.code for call in history.sent)
    waits = [1000 * (call.answered - call.sent) for call in history.sent if call.code == "ok"]
    stalls = [pause.ended - pause.began for pause in history.pauses if pause.is_measured]
    return {
        "scenario": stage.asked.scenario,
        "variant": stage.asked.variant,
        "seed": stage.asked.seed,
        "calls": len(history.sent),
        "codes": dict(codes.most_common()),
        "causes": dict(sorted(stage.log.causes.items())),
        "opens": stage.log.opens,
        "ok_ms": [round(percentile(waits, share)) for share in (0.5, 0.99)],
        "deaths_ms": _deaths(history),
        "stalls_s": round(sum(stalls), 2),
        "longest_stall_ms": round(1000 * max(stalls, default=0.0)),
        "widened": len(widened(history)),
        "load": Path("/proc/loadavg").read_text().split()[0],
        "own": stage.figures,
    }


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


def _report(result: Result) -> None:
    say(json.dumps(result.figures))
    for text in result.wrong[:_SHOWN]:
        say(f"BROKEN {text}")
    if len(result.wrong) > _SHOWN:
        say(f"BROKEN … and {len(result.wrong) - _SHOWN} more")
    if result.figures["widened"]:
        say(
            f"{result.figures['widened']} answers came later than 250 ms after their deadline; "
            "counted as late only by more than what the machine was measured to stand still"
        )


def _save(folder: Path, history: History, ground: Ground) -> None:
    """Everything that explains a breach: the log, the journal, the pauses and all logs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(json.dumps(asdict(history)))
    for path in [*(ground.home / "logs").iterdir(), ground.home / "said"]:
        (folder / path.name).write_bytes(path.read_bytes())
