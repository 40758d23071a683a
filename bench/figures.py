"""What a run measured: spreads over rounds, ratios paired in a round, and rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.budgets import BUDGETS, Budget


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of several rounds.

    Attributes:
        values: one a round, in the order of the rounds; at least one.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    def text(self, digits: int) -> str:
        """`median (min to max, n)`."""
        low, high = min(self.values), max(self.values)
        if len(self.values) == 1:
            return f"{low:.{digits}f} (n 1)"
        span = f"{low:.{digits}f} to {high:.{digits}f}, n {len(self.values)}"
        return f"{self.median:.{digits}f} ({span})"


def spread(values: Iterable[float]) -> Spread:
    """The spread of these."""
    return Spread(tuple(values))


def paired(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio of two contenders, round by round.

    Raises:
        ValueError: one has more rounds than the other.
    """
    return spread(a / b for a, b in zip(above, below, strict=True))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        key: names the figure for ever: budgets and releases are compared by it.
        what: what was measured, with its unit.
        note: what a reader must know beside it.
        details: what only the JSON has.
    """

    key: str
    what: str
    spread: Spread
    digits: int = 2
    note: str = ""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def budget(self) -> Budget | None:
        """What it may be; None where nothing was promised."""
        return BUDGETS.get(self.key)

    @property
    def is_met(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        return self.budget.is_met(self.spread.values) if self.budget else None

    def to_json(self) -> dict[str, object]:
        """The row as the results file keeps it."""
        return {
            "key": self.key,
            "what": self.what,
            "values": list(self.spread.values),
            "median": self.spread.median,
            "budget": self.budget.text() if self.budget else None,
            "is_met": self.is_met,
            "note": self.note,
            **self.details,
        }
