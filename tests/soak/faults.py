"""What goes wrong and when, from a seed: the same seed gives the same schedule.

Pure. `strikes.py` carries it out.
"""

import random
from dataclasses import dataclass
from typing import Literal

Role = Literal["executor", "template", "keeper", "agent", "router"]
Kind = Literal[
    "kill", "stop", "cut", "delay", "swallow", "halve", "reset", "recycle", "change", "wave"
]
Target = Role | Literal["link", "worker", "spec", "callers"]

LONGEST_STOP_SECONDS = 9.0
"""Longer than the silence that breaks a link."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: seconds after the load began.
        kind: kill -9, stop (SIGSTOP, then SIGCONT), what is done to links, or a change that an
            operator makes: recycle a worker, change the spec so that all workers are replaced;
            or a wave of callers of whom half leave at once.
        target: what it is done to.
        choice: 0 to 1: which of those that are there.
        seconds: how long it lasts; 0 for what is done in an instant.
    """

    at: float
    kind: Kind
    target: Target
    choice: float
    seconds: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:7.2f} s  {self.kind} {self.target} ({self.choice:.2f}){lasting}"


_WEIGHTS: dict[tuple[Kind, Target], float] = {
    ("kill", "executor"): 6,
    ("kill", "template"): 2,
    ("kill", "keeper"): 2,
    ("kill", "agent"): 1,
    ("kill", "router"): 1,
    ("stop", "executor"): 2,
    ("stop", "template"): 1,
    ("stop", "keeper"): 1,
    ("stop", "agent"): 1,
    ("stop", "router"): 1,
    ("cut", "link"): 1,
    ("delay", "link"): 1,
    ("swallow", "link"): 1,
    ("halve", "link"): 1,
    ("reset", "link"): 2,
    ("recycle", "worker"): 1,
    ("change", "spec"): 0.5,
    ("wave", "callers"): 1.5,
}

_INSTANT: tuple[Kind, ...] = ("kill", "halve", "reset", "recycle", "change", "wave")


def schedule(seed: int, seconds: float, mean_gap_seconds: float = 1.5) -> tuple[Fault, ...]:
    """Faults for a load of so many seconds; none in the first second."""
    chance = random.Random(f"faults-{seed}")
    faults: list[Fault] = []
    at = 1.0
    while (at := at + chance.uniform(0.2, 2 * mean_gap_seconds - 0.2)) < seconds:
        kind, target = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        lasting = 0.0 if kind in _INSTANT else _lasting(chance)
        faults.append(Fault(at, kind, target, chance.random(), lasting))
    return tuple(faults)


def _lasting(chance: random.Random) -> float:
    """Mostly a moment, sometimes longer than the silence that breaks a link."""
    return min(LONGEST_STOP_SECONDS, 0.2 + chance.expovariate(0.5))
