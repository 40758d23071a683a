"""Labelled sentences: the shipped ones, and their split into a part to learn from and a rest.

Called by the optimizer adapter. Knows no DSPy.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SHIPPED = Literal["requests"]


class LabelledText(BaseModel):
    """A sentence and the class it belongs to.

    Attributes:
        text: 1 to 4,000 characters.
        label: 1 to 64 letters, digits, spaces, `_`, `.` or `-`, the first a letter or digit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1, max_length=4000)]
    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$")]


@dataclass(frozen=True, slots=True)
class Split:
    """Rows in two parts that share none: `train` to learn from, `held_out` to score with."""

    train: tuple[LabelledText, ...]
    held_out: tuple[LabelledText, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of both parts, sorted, each once."""
        return tuple(sorted({row.label for row in self.train + self.held_out}))


def load_texts(name: SHIPPED) -> list[LabelledText]:
    """The shipped rows of that name, in their order on disk (the classes take turns)."""
    path = files("pythonpool_worker.adapters") / "data" / f"{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [LabelledText.model_validate(json.loads(line)) for line in lines]


def split_texts(rows: Sequence[LabelledText], train_fraction: float, seed: int) -> Split:
    """Split each label's rows by `train_fraction` (0 < f < 1), and shuffle both parts.

    A label with two rows or more has at least one in each part; a single row is learnt from.
    The same rows and seed give the same split.

    Raises:
        ValueError: there are fewer than two labels, or no row is left to score with.
    """
    draw = random.Random(seed)  # noqa: S311 - a split, not a secret
    split = Split(train=tuple(rows), held_out=())
    if len(split.labels) < 2:
        raise ValueError(f"data must have 2 labels or more, not {len(split.labels)}; add rows")
    train: list[LabelledText] = []
    held_out: list[LabelledText] = []
    for label in split.labels:
        own = [row for row in rows if row.label == label]
        draw.shuffle(own)
        size = min(max(round(len(own) * train_fraction), 1), max(len(own) - 1, 1))
        train += own[:size]
        held_out += own[size:]
    if not held_out:
        raise ValueError("every label has one row alone: nothing is left to score with; add rows")
    draw.shuffle(train)
    draw.shuffle(held_out)
    return Split(tuple(train), tuple(held_out))
