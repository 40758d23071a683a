"""The shipped sentences and their split."""

from collections import Counter

import pytest
from pydantic import ValidationError

from pythonpool_worker.adapters.texts import LabelledText, load_texts, split_texts


def rows_of(*labels: str) -> list[LabelledText]:
    return [LabelledText(text=f"text {at}", label=label) for at, label in enumerate(labels)]


def test_shipped_sentences_are_fifteen_of_each_class() -> None:
    rows = load_texts("requests")

    assert Counter(row.label for row in rows) == dict.fromkeys(
        ("account", "billing", "delivery", "technical"), 15
    )
    assert len({row.text for row in rows}) == 60


def test_a_split_shares_no_row_and_loses_none() -> None:
    rows = load_texts("requests")

    split = split_texts(rows, 0.5, seed=3)

    assert Counter(split.train + split.held_out) == Counter(rows)
    assert {row.label for row in split.train} == {row.label for row in split.held_out}


def test_a_split_depends_on_the_seed_alone() -> None:
    rows = load_texts("requests")

    assert split_texts(rows, 0.5, seed=3) == split_texts(rows, 0.5, seed=3)
    assert split_texts(rows, 0.5, seed=3) != split_texts(rows, 0.5, seed=4)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_each_label_is_in_both_parts(fraction: float) -> None:
    split = split_texts(rows_of("a", "b", "a", "b", "a", "b"), fraction, seed=0)

    assert {row.label for row in split.train} == {"a", "b"}
    assert {row.label for row in split.held_out} == {"a", "b"}


@pytest.mark.parametrize("labels", [("a", "a"), ("a", "b")])
def test_too_little_data_is_refused_in_words(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="add rows"):
        split_texts(rows_of(*labels), 0.5, seed=0)


@pytest.mark.parametrize("label", ["", "two\nlines", "a; b", "x" * 65, "[[ ## label ## ]]"])
def test_labels_that_would_break_a_prompt_are_refused(label: str) -> None:
    with pytest.raises(ValidationError):
        LabelledText(text="text", label=label)
