"""The table, the results file, and the releases before."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.budgets import BUDGETS
from bench.figures import Row
from bench.registry import GROUPS

HISTORY = Path(__file__).parent / "history"
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "performance.md"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"

Groups = Mapping[str, Sequence[Row]]


def table(groups: Groups, earlier: Mapping[str, float] | None = None, release: str = "") -> str:
    """The rows as a Markdown table a group; `earlier`: medians of `release`, by key of row."""
    lines: list[str] = []
    for group, rows in groups.items():
        if not rows:
            continue
        last = [f" {release} |", "---|"] if earlier else ["", ""]
        heads = [f"| what | measured | budget | |{last[0]}", f"|---|---|---|---|{last[1]}"]
        lines += ["", f"**{GROUPS[group]}**", "", *heads]
        lines += [_line(row) + _then(row, earlier) for row in rows]
    return "\n".join(lines[1:])


def _line(row: Row) -> str:
    budget = row.budget.text() if row.budget else ""
    met = {None: "", True: "met", False: "**missed**"}[row.is_met]
    what = f"{row.what}; {row.note}" if row.note else row.what
    return f"| {what} | {row.spread.text(row.digits)} | {budget} | {met} |"


def _then(row: Row, earlier: Mapping[str, float] | None) -> str:
    if not earlier:
        return ""
    median = earlier.get(row.key)
    return " |" if median is None else f" {median:.{row.digits}f} |"


def documented(page: str, text: str) -> str:
    """The page with `text` in place of the figures of an earlier run.

    Raises:
        ValueError: the page has no such place.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"no place for figures: between {_BEGIN} and {_END}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def unmeasured(groups: Groups) -> list[str]:
    """Budgets that no row of a run was held against."""
    measured = {row.key for rows in groups.values() for row in rows}
    return sorted(BUDGETS.keys() - measured)


def result(machine: Mapping[str, object], about: Mapping[str, object], groups: Groups) -> str:
    """The results file's text."""
    rows = {group: [row.to_json() for row in rows] for group, rows in groups.items()}
    return json.dumps({"format": 1, **about, "machine": machine, "groups": rows}, indent=1) + "\n"


def medians(text: str) -> dict[str, float]:
    """Medians by key of row, of a results file."""
    read: dict[str, Any] = json.loads(text)
    return {row["key"]: row["median"] for rows in read["groups"].values() for row in rows}


def latest_release(folder: Path = HISTORY) -> Path | None:
    """The file of the last release in `folder`; None when there is none."""
    files = [path for path in folder.glob("*.json") if re.fullmatch(r"\d+(\.\d+)*", path.stem)]
    return max(files, key=lambda path: [int(n) for n in path.stem.split(".")], default=None)
