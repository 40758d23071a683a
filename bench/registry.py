"""What a part of the benchmark is, and how some of them are asked for."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Row


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is put into a part.

    Attributes:
        rounds: how often each contender has its turn.
        seconds: how long a turn is.
        is_quick: two minutes for all parts together, instead of fifteen.
        chance: the order of turns.
    """

    rounds: int
    seconds: float
    is_quick: bool
    chance: random.Random


Measure = Callable[[Path, Effort], list[Row]]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that can be measured by itself.

    Attributes:
        group: its place in the table, one of GROUPS.
        measure: does it, in an empty folder.
        is_asked: only when it is asked for by name.
        is_long: left out of a quick run, unless it is asked for by name.
    """

    name: str
    group: str
    measure: Measure
    is_asked: bool = False
    is_long: bool = False


GROUPS = {
    "router": "Router, agent in C, beside proxies that carry the same bytes",
    "path": "Whole path: router, agent, executor",
    "ends": "Starts, ends and replacements",
    "growth": "Many of everything",
    "peers": "The same echo through other Python servers",
}


class NoSuchPartError(Exception):
    """Neither a part nor a group is called so."""


def chosen(
    parts: Sequence[Part], words: Sequence[str], with_asked: bool = False, is_quick: bool = False
) -> list[Part]:
    """The parts that `words` name, or whose group they name; without words the usual ones.

    Args:
        with_asked: without words, those too that are measured only when they are asked for.
        is_quick: without words, none that are long.

    Raises:
        NoSuchPartError: a word names nothing.
    """
    known = {part.name for part in parts} | {part.group for part in parts}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise NoSuchPartError(
            f"no part is called {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    if not words:
        return [
            part
            for part in parts
            if (with_asked or not part.is_asked) and not (is_quick and part.is_long)
        ]
    return [part for part in parts if {part.name, part.group} & set(words)]
