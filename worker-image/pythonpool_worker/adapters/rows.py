"""Rows of numbers with a class each: the shipped digits, callers' own, and their split in two.

Called by the neural adapter and by `network`. Knows numpy, not JAX.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

import numpy as np
import numpy.typing as npt

from pythonpool_worker.adapters.neural_forms import SHIPPED, LabelledRow

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

_HELD_OUT_FRACTION = 0.2
# With the weights they have to fit a session's state of 1 MiB.
_MAX_HELD_OUT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Rows:
    """`inputs`: float32, (rows, features). `labels`: int32, (rows,), from 0."""

    inputs: Floats
    labels: Integers

    @classmethod
    def of(cls, rows: Sequence[LabelledRow]) -> Self:
        """Callers' rows as arrays.

        Raises:
            ValueError: the rows differ in the number of their inputs.
        """
        widths = sorted({len(row.inputs) for row in rows})
        if len(widths) != 1:
            raise ValueError(f"all rows of data must have as many inputs; found {widths}")
        inputs = np.array([row.inputs for row in rows], dtype=np.float32)
        return cls(inputs, np.array([row.label for row in rows], dtype=np.int32))

    @classmethod
    def none(cls, features: int) -> Self:
        """No rows: (0, features)."""
        return cls(np.zeros((0, features), np.float32), np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, indices: npt.NDArray[np.int64]) -> "Rows":
        """The rows at `indices`, in that order."""
        return Rows(self.inputs[indices], self.labels[indices])


def load_rows(name: SHIPPED) -> Rows:
    """The shipped rows: 600 digits, 64 pixels from 0 to 16 each, labels 0 to 9."""
    path = files("pythonpool_worker.adapters") / "data" / f"{name}.csv"
    lines = list(csv.reader(io.StringIO(path.read_text(encoding="ascii"))))
    table = np.array(lines, dtype=np.int32)
    return Rows(table[:, :-1].astype(np.float32), table[:, -1])


def split_rows(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """A part to learn from and one to score with: a fifth of the rows, at most 256 KiB.

    The same rows and seed give the same split.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    most = max(_MAX_HELD_OUT_BYTES // (4 * rows.inputs.shape[1] + 4), 1)
    size = min(max(round(len(rows) * _HELD_OUT_FRACTION), 1), most)
    return rows.pick(order[size:]), rows.pick(order[:size])
