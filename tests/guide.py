"""The rows of docs/guides/when-things-fail.md, held against what a test has seen."""

import re
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "when-things-fail.md"

_ROW = re.compile(r"\| `([a-z][a-z0-9-]+)` ")
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """One situation.

    Attributes:
        name: its id, in the first column.
        caller: what the caller gets: the texts that are quoted there.
        shown: the texts that are quoted in the column after it.
    """

    name: str
    caller: tuple[str, ...]
    shown: tuple[str, ...]

    def holds(self, *, caller: str, shown: str) -> None:
        """Both columns say what was seen; `…` in a quotation stands for anything.

        Raises:
            AssertionError: a quoted text is not in what was seen.
        """
        for quoted, seen in ((self.caller, caller), (self.shown, shown)):
            assert quoted, f"the guide quotes nothing for {self.name}"
            for text in quoted:
                pattern = ".*?".join(re.escape(part) for part in text.split("…"))
                assert re.search(pattern, seen, re.DOTALL), f"{self.name}: {text!r} not in:\n{seen}"


def rows() -> dict[str, Row]:
    """All rows of the guide, by their ids."""
    found: dict[str, Row] = {}
    for line in GUIDE.read_text().splitlines():
        match = _ROW.match(line)
        if match:
            _, caller, shown, *_ = line.split(" | ")
            name = match[1]
            assert name not in found, f"{name} stands there twice"
            found[name] = Row(name, tuple(_QUOTED.findall(caller)), tuple(_QUOTED.findall(shown)))
    return found


def row(name: str) -> Row:
    """The row of that id."""
    return rows()[name]
