"""Whose turn it is: contenders run one after the other, in another order in each round."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def turns(names: Sequence[str], rounds: int, chance: random.Random) -> Iterator[str]:
    """Each name once in each round."""
    for _ in range(rounds):
        yield from chance.sample(names, len(names))


def take_turns(
    names: Sequence[str], rounds: int, chance: random.Random, measure: Callable[[str], T]
) -> dict[str, list[T]]:
    """What `measure` says of each name, a value a round; values of one place are of one round."""
    found: dict[str, list[T]] = {name: [] for name in names}
    for name in turns(names, rounds, chance):
        found[name].append(measure(name))
    return found
