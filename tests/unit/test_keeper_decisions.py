"""The keeper's decisions: where the line is, who is to go, why a process ended."""

import os

import pytest

from pythonpool_worker.keeper.causes import cause_of
from pythonpool_worker.keeper.memory import (
    Growth,
    is_worth_telling,
    kill_line,
    seconds_to_next_look,
)
from pythonpool_worker.template.safety import why_not_forked

MB = 1_000_000
GIB = 1 << 30


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        (64 * MB, 38_400_000),  # 60 %
        (250 * MB, 150 * MB),  # 60 % and 100 MB below are the same
        (512 * MB, 412 * MB),  # 100 MB below
        (4000 * MB, 3600 * MB),  # 10 % below
    ],
)
def test_kill_line_leaves_room_to_be_first(limit: int, line: int) -> None:
    assert kill_line(limit) == line


@pytest.mark.parametrize(
    ("headroom", "seconds"),
    [(-GIB, 0.005), (0, 0.005), (400 * MB, 0.05), (100_000 * MB, 0.1)],
)
def test_next_look_is_sooner_near_the_line(headroom: int, seconds: float) -> None:
    assert seconds_to_next_look(headroom) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("told", "now", "worth"),
    [(0, 0, False), (0, 1, True), (1000, 1009, False), (1000, 1010, True), (1000, 990, True)],
)
def test_memory_is_told_from_one_percent_on(told: int, now: int, worth: bool) -> None:
    assert is_worth_telling(told, now) is worth


def test_greediest_grew_most_in_the_last_second() -> None:
    """Not the largest: that one may have been large for days."""
    growth = Growth()
    for step in range(20):
        growth.note(step / 8, {1: 900, 2: 10 * step, 3: 300 - step})

    assert growth.greediest() == 2
    assert [growth.of(key) for key in (1, 2, 3)] == [0, 80, -8]


def test_newcomer_has_grown_from_nothing() -> None:
    """It may have taken all it has before the first look."""
    growth = Growth()
    for step in range(20):
        growth.note(step * 0.1, {1: 900, 2: 10 * step})
    growth.note(2.0, {1: 900, 2: 190, 3: 500})

    assert growth.greediest() == 3


def test_of_those_who_stand_still_the_largest_goes() -> None:
    growth = Growth()
    for step in range(20):
        growth.note(step * 0.1, {1: 100, 2: 900, 3: 500})

    assert growth.greediest() == 2


def test_the_dead_are_forgotten() -> None:
    growth = Growth()
    growth.note(0.0, {1: 100})
    growth.note(0.1, {})

    assert growth.greediest() is None


@pytest.mark.parametrize(
    ("code", "status", "ours", "ran_out", "cause"),
    [
        (os.CLD_EXITED, 0, False, False, "exit:0"),
        (os.CLD_EXITED, 3, False, True, "exit:3"),
        (os.CLD_KILLED, 9, False, False, "signal:9"),
        (os.CLD_KILLED, 9, False, True, "oom"),
        (os.CLD_KILLED, 9, True, True, "memory"),
        (os.CLD_KILLED, 15, False, True, "signal:15"),
        (os.CLD_DUMPED, 11, False, False, "signal:11"),
    ],
)
def test_each_death_has_one_cause(
    code: int, status: int, ours: bool, ran_out: bool, cause: str
) -> None:
    assert cause_of(code, status, ours, ran_out) == cause


@pytest.mark.parametrize(
    ("threads", "sockets", "may_fork", "why"),
    [
        (["python"], [], True, None),
        (["python"], [], False, "the adapter says fork = False"),
        (["python", "poller"], [], True, "start() left 2 threads (poller, python)"),
        (["python"], [7], True, "start() left 1 open sockets (descriptors 7)"),
        (
            ["python", "a"],
            [7, 8],
            True,
            "start() left 2 threads (a, python) and 2 open sockets (descriptors 7, 8)",
        ),
    ],
)
def test_what_stands_against_a_fork_is_named(
    threads: list[str], sockets: list[int], may_fork: bool, why: str | None
) -> None:
    assert why_not_forked(threads, sockets, may_fork) == why
