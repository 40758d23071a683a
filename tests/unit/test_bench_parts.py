"""What the benchmark reckons: ratios, budgets, tables, turns, what is asked for."""

import random
from pathlib import Path

import pytest

from bench import report
from bench.budgets import BUDGETS, Budget
from bench.figures import Row, paired, spread
from bench.parts import PARTS
from bench.registry import GROUPS, Effort, NoSuchPartError, Part, chosen
from bench.turns import take_turns, turns

MET = Row("syscalls.router", "system calls", spread([3.0, 2.8, 4.0]))
MISSED = Row("memory.flight", "memory", spread([3.0, 17.0, 4.0]))
PLAIN = Row("some.figure", "a figure, ms", spread([0.1234]), digits=3, note="on the side")


def nothing(folder: Path, effort: Effort) -> list[Row]:
    return []


def test_ratios_are_made_within_a_round() -> None:
    """A machine that is slow in one round is slow for both."""
    assert paired([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]).values == (2.0, 2.0, 3.0)


def test_ratios_of_unequal_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        paired([1.0, 2.0], [1.0])


def test_a_spread_says_median_least_most_and_n() -> None:
    assert spread([3.0, 1.0, 2.0]).text(1) == "2.0 (1.0 to 3.0, n 3)"
    assert spread([0.5]).text(2) == "0.50 (n 1)"


@pytest.mark.parametrize(
    ("budget", "kept", "broken"),
    [
        (Budget(2.0), [1.0, 2.0, 9.0], [1.0, 2.1, 9.0]),
        (Budget(2.0, is_least=True), [0.0, 2.0, 2.0], [0.0, 1.9, 9.0]),
        (Budget(2.0, is_for_all=True), [1.0, 2.0], [1.0, 1.0, 2.1]),
        (Budget(2.0, is_least=True, is_for_all=True), [2.0, 3.0], [1.9, 3.0, 3.0]),
    ],
)
def test_budgets_hold_for_the_median_or_for_each(
    budget: Budget, kept: list[float], broken: list[float]
) -> None:
    assert budget.is_met(kept)
    assert not budget.is_met(broken)


def test_each_group_is_a_table_with_its_budgets() -> None:
    text = report.table({"router": [MET, MISSED], "path": [], "ends": [PLAIN]})

    assert text.splitlines() == [
        f"**{GROUPS['router']}**",
        "",
        "| what | measured | budget | |",
        "|---|---|---|---|",
        "| system calls | 3.00 (2.80 to 4.00, n 3) | ≤ 3.2 | met |",
        "| memory | 4.00 (3.00 to 17.00, n 3) | ≤ 16, each | **missed** |",
        "",
        f"**{GROUPS['ends']}**",
        "",
        "| what | measured | budget | |",
        "|---|---|---|---|",
        "| a figure, ms; on the side | 0.123 (n 1) |  |  |",
    ]


def test_a_release_before_stands_beside() -> None:
    lines = report.table({"router": [MET, PLAIN]}, {"syscalls.router": 2.5}, "0.1.0").splitlines()

    assert lines[2] == "| what | measured | budget | | 0.1.0 |"
    assert lines[4].endswith("| met | 2.50 |")
    assert lines[5].endswith("|  |  | |")


def test_results_are_read_back_by_key() -> None:
    text = report.result({"cores": 2}, {"version": "1"}, {"router": [MET], "ends": [PLAIN]})

    assert report.medians(text) == {"syscalls.router": 3.0, "some.figure": 0.1234}


def test_budgets_without_a_figure_are_named() -> None:
    missing = report.unmeasured({"router": [MET, PLAIN]})

    assert set(missing) == BUDGETS.keys() - {"syscalls.router"}


def test_new_figures_take_the_place_of_the_old_in_the_docs() -> None:
    page = "# Page\n<!-- figures -->\nold\n<!-- end of figures -->\nmore\n"

    told = report.documented(page, "new")

    assert told == "# Page\n<!-- figures -->\nnew\n<!-- end of figures -->\nmore\n"
    assert report.documented(told, "new") == told
    with pytest.raises(ValueError, match="no place for figures"):
        report.documented("# Page\n", "new")


def test_the_page_has_a_place_for_figures() -> None:
    assert report.documented(report.PAGE.read_text(), "new")


def test_the_last_release_is_the_highest_number(tmp_path: Path) -> None:
    """Not the last in the alphabet."""
    assert report.latest_release(tmp_path) is None
    for name in ("0.9.0.json", "0.10.0.json", "notes.json"):
        (tmp_path / name).touch()

    assert report.latest_release(tmp_path) == tmp_path / "0.10.0.json"


def test_each_has_its_turn_once_in_a_round_in_changing_order() -> None:
    """What drifts (heat, neighbours) must not always meet the same one."""
    order = list(turns("abc", 40, random.Random(1)))
    rounds = [tuple(order[at : at + 3]) for at in range(0, 120, 3)]

    assert {frozenset(each) for each in rounds} == {frozenset("abc")}
    assert len(set(rounds)) == 6


def test_values_of_one_place_are_of_one_round() -> None:
    clock = iter(range(100))
    found = take_turns("ab", 10, random.Random(1), lambda name: next(clock))

    assert [sorted(pair) for pair in zip(found["a"], found["b"], strict=True)] == [
        [2 * n, 2 * n + 1] for n in range(10)
    ]


def test_parts_are_asked_for_by_name_or_group() -> None:
    parts = [
        Part("one", "router", nothing),
        Part("two", "router", nothing),
        Part("three", "path", nothing, is_long=True),
        Part("heavy", "peers", nothing, is_asked=True),
    ]

    def names(*words: str) -> list[str]:
        return [part.name for part in chosen(parts, words)]

    assert names() == ["one", "two", "three"]
    assert len(chosen(parts, [], with_asked=True)) == 4
    assert chosen(parts, [], is_quick=True) == parts[:2]
    assert chosen(parts, ["three"], is_quick=True) == [parts[2]]
    assert names("router") == ["one", "two"]
    assert names("three", "one") == ["one", "three"]
    assert names("peers") == ["heavy"]
    with pytest.raises(NoSuchPartError, match="'four'; there are heavy, one, path"):
        names("four")


def test_parts_have_names_of_their_own_and_groups_that_are_there() -> None:
    names = [part.name for part in PARTS]

    assert len(set(names)) == len(names)
    assert {part.group for part in PARTS} <= set(GROUPS)
