"""What a scenario plays on, and what it is."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.callers import Caller, Log, Manner, Target
from soak.checker import union
from soak.ground import Ground
from soak.history import Pause, Sent
from soak.plan import Plan
from soak.strikes import Strikes


@dataclass(frozen=True)
class Asked:
    """What to soak.

    Attributes:
        scenario: its name.
        seed: of the load and of the faults.
        seconds: of load, where the scenario has none of its own.
        scale: how much of a scenario's own length, 0 < scale <= 1.
        variant: of the pool, for the scenario `fire`.
        keep: a folder for the history and the logs, or None.
        calm: nothing fails but the commands.
        gap: mean seconds from one fault to the next, more than 0.2.
        end: how `up` ends: by Ctrl-C, or killed.
    """

    scenario: str = "fire"
    seed: int = 1
    seconds: float = 60.0
    scale: float = 1.0
    variant: str = "plain"
    keep: Path | None = None
    calm: bool = False
    gap: float = 1.5
    end: str = "ctrl-c"


@dataclass(slots=True)
class Stage:
    """One soak under way.

    Attributes:
        asked: for.
        ground: the `up`.
        log: of all callers.
        strikes: what was made to fail.
        say: prints a line.
        stalls: when the machine stood still, so far.
        figures: what the scenario measured, for the report.
    """

    asked: Asked
    ground: Ground
    log: Log
    strikes: Strikes
    say: Callable[[str], None]
    stalls: list[Pause]
    figures: dict[str, Any] = field(default_factory=dict)

    def stalled(self, began: float, ended: float) -> float:
        """Seconds between two times in which the machine stood still."""
        return union(began, ended, self.stalls)

    def scaled(self, full: float, least: float) -> float:
        """`full` as asked, at least `least`."""
        return max(least, full * self.asked.scale)

    def caller(self, name: str, target: Target | None = None) -> Caller:
        """A caller of its own chance."""
        chance = random.Random(f"{self.asked.seed}-{name}")
        return Caller(name, target or self.ground.target, self.log, 0.0, chance, self.ground.plan)

    async def call_once(
        self, name: str, shape: str, seconds: float, timeout: float, manner: Manner
    ) -> Sent:
        """One call on a connection of its own."""
        caller = self.caller(name)
        sent = await caller.work(shape, seconds, timeout, manner)
        await caller.close()
        return sent


@dataclass(frozen=True, slots=True)
class Scenario:
    """One promise under load.

    Attributes:
        promise: in a line.
        play: does it; returns what was not as promised, beside what the history checker sees.
        plan: of the pool; None: the variant that was asked for.
    """

    promise: str
    play: Callable[[Stage], Awaitable[list[str]]]
    plan: Plan | None = None


def only(sent: list[Sent], *codes: str) -> list[str]:
    """A line for each call that ended otherwise."""
    return [
        f"{call.nonce} ended with {call.code} {call.cause} after {call.answered - call.sent:.3f} s"
        for call in sent
        if call.code not in codes
    ]


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them are; 0 without values."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
