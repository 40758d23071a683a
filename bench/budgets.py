"""What each figure may be at most (or must be at least): the promises, by the key of their row."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise.

    Attributes:
        limit: the most that the figure may be.
        is_least: the limit is a least instead.
        is_for_all: it holds for the worst round, not for the median.
    """

    limit: float
    is_least: bool = False
    is_for_all: bool = False

    def is_met(self, values: Sequence[float]) -> bool:
        """Whether these keep it."""
        if self.is_least:
            return (min(values) if self.is_for_all else median(values)) >= self.limit
        return (max(values) if self.is_for_all else median(values)) <= self.limit

    def text(self) -> str:
        """As the table shows it."""
        every = ", each" if self.is_for_all else ""
        return f"{'≥' if self.is_least else '≤'} {self.limit:,g}{every}"


def _most(limit: float) -> Budget:
    return Budget(limit)


def _least(limit: float) -> Budget:
    return Budget(limit, is_least=True)


def _each(limit: float) -> Budget:
    return Budget(limit, is_for_all=True)


BUDGETS: dict[str, Budget] = {
    "small.tcp.32.nginx": _most(0.90),
    "small.unix.32.nginx": _most(0.85),
    "small.tcp.1.nginx": _most(1.15),
    "small.tcp.32.haproxy-calls": _least(1.1),
    "small.tcp.1000.growth": _most(1.5),
    "half.tcp.nginx": _most(1.0),
    "bare.varied": _most(1.10),
    "syscalls.router": _most(3.2),
    "bodies.100kB.nginx": _most(0.7),
    "bodies.10MB.nginx": _most(0.8),
    "memory.flight": _each(16),
    "memory.idle": _each(60),
    "memory.worker": _each(40),
    "path.1.p50": _most(0.2),
    "path.64.rate": _least(15_000),
    "sharing.refusals": _each(0.1),
    "sharing.fairness": _most(1.2),
    "ends.session": _each(5),
    "ends.timeout-slot": _each(50),
    "ends.kill-error": _each(100),
    "ends.kill-standby": _most(1),
    "ends.kill-fork": _most(20),
    "forks.memory.dspy": _most(0.05),
    "starts.general": _most(2),
    "overload.goodput": _least(0.95),
    "overload.refusal-p99": _each(50),
    "peers.ray.1.p50": _most(0.04),
    "peers.ray.16.cpu": _most(0.04),
}
"""In the units of their rows."""
