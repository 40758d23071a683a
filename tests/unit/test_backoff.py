"""Backoff: what fails is tried again ever later, and forgiven after a minute of health."""

import random

import pytest

from pythonpool_local.backoff import Backoff


def waits(backoff: Backoff, failures: int) -> list[float]:
    now, seen = 0.0, []
    for _ in range(failures):
        backoff.failed(now, 0.0)
        seen.append(backoff.wait(now))
        now = backoff.until
    return seen


def test_waits_double_up_to_thirty_seconds() -> None:
    seen = waits(Backoff(random.Random(1)), 9)

    for wait, middle in zip(seen, [0.5, 1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert middle * 0.8 <= wait <= middle * 1.2


def test_waits_differ_between_pools() -> None:
    assert waits(Backoff(random.Random(1)), 3) != waits(Backoff(random.Random(2)), 3)


def test_failures_at_one_instant_count_once() -> None:
    backoff = Backoff(random.Random(1))

    for _ in range(4):
        backoff.failed(100.0, 0.0)

    assert backoff.failures == 1
    assert backoff.wait(100.0) <= 0.6


def test_a_minute_of_health_forgives() -> None:
    backoff = Backoff(random.Random(1))
    waits(backoff, 6)

    backoff.failed(1000.0, 61.0)

    assert backoff.failures == 1
    assert backoff.wait(1000.0) <= 0.6


def test_nothing_is_awaited_before_the_first_failure() -> None:
    assert Backoff().wait(0.0) == pytest.approx(0.0)
