"""The shipped digits, callers' rows, and their split."""

import pytest

np = pytest.importorskip("numpy", reason="numpy comes with the extra [neural]")

from pythonpool_worker.adapters.neural_forms import LabelledRow  # noqa: E402 - only with numpy
from pythonpool_worker.adapters.rows import Rows, load_rows, split_rows  # noqa: E402


def test_shipped_digits_are_sixty_of_each() -> None:
    rows = load_rows("digits")

    assert rows.inputs.shape == (600, 64)
    assert rows.inputs.dtype == np.float32
    assert (rows.inputs.min(), rows.inputs.max()) == (0, 16)
    assert rows.labels.dtype == np.int32
    assert np.bincount(rows.labels).tolist() == [60] * 10


def test_a_split_shares_no_row_and_depends_on_the_seed_alone() -> None:
    rows = Rows(np.arange(20, dtype=np.float32).reshape(20, 1), np.zeros(20, np.int32))

    train, held_out = split_rows(rows, seed=1)

    assert len(held_out) == 4
    both = np.concatenate([train.inputs, held_out.inputs])
    assert sorted(both.ravel().tolist()) == rows.inputs.ravel().tolist()
    assert split_rows(rows, seed=1)[0].inputs.tolist() == train.inputs.tolist()


def test_held_out_rows_fit_a_session() -> None:
    rows = Rows(np.zeros((4000, 1024), np.float32), np.zeros(4000, np.int32))

    assert split_rows(rows, seed=0)[1].inputs.nbytes <= 256 * 1024


def test_rows_of_different_width_are_refused() -> None:
    rows = [LabelledRow(inputs=[1.0], label=0), LabelledRow(inputs=[1.0, 2.0], label=1)]

    with pytest.raises(ValueError, match="as many inputs"):
        Rows.of(rows)
