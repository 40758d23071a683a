"""What a run measured: spreads over rounds, rows with their budgets, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of several rounds.

    Attributes:
        values: one a round, in the order of the rounds.
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


def paired(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio of two contenders, round by round."""
    return Spread(tuple(a / b for a, b in zip(above, below, strict=True)))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        group: the heading that it stands under.
        what: what was measured, with its unit.
        budget: the most that the median may be; None where there is no budget.
        at_least: the budget is a least instead of a most.
        is_for_all: the budget holds for the worst value, not for the median.
        note: what a reader must know beside it.
    """

    group: str
    what: str
    spread: Spread
    budget: float | None = None
    at_least: bool = False
    is_for_all: bool = False
    digits: int = 2
    note: str = ""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        if self.budget is None:
            return None
        if self.is_for_all:
            return max(self.spread.values) <= self.budget
        if self.at_least:
            return self.spread.median >= self.budget
        return self.spread.median <= self.budget

    def to_json(self) -> dict[str, object]:
        """The row as the results file keeps it."""
        return {
            "group": self.group,
            "what": self.what,
            "values": list(self.spread.values),
            "median": self.spread.median,
            "budget": self.budget,
            "at_least": self.at_least,
            "is_met": self.is_met,
            "note": self.note,
            **self.details,
        }


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, one heading a group."""
    lines: list[str] = []
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", f"**{group}**", "", "| what | measured | budget | |", "|---|---|---|---|"]
        budget = ""
        if row.budget is not None:
            budget = f"{'≥' if row.at_least else '≤'} {row.budget:g}"
        met = {None: "", True: "met", False: "**missed**"}[row.is_met]
        what = f"{row.what}; {row.note}" if row.note else row.what
        lines.append(f"| {what} | {row.spread.text(row.digits)} | {budget} | {met} |")
    return "\n".join(lines[1:])
