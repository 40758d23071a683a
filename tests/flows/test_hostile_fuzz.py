"""Requests made by seed, in short; `make fuzz N=10000 SEED=7` is the long form."""

from collections.abc import Callable
from pathlib import Path

from flows.house import House
from hostile.fuzz import run
from hostile.ground import Ground, prepare

SEED = 6
NUMBER = 1000


def test_made_requests_by_seed(house: Callable[..., House], home: Path) -> None:
    """At most one answer each, well formed, never 5xx, none executed twice, nothing left."""
    fuzzed = run(Ground(house(prepare(home))), SEED, range(NUMBER))
    assert {200, 400, 401, 404, 405} <= set(fuzzed.statuses)
    assert fuzzed.statuses[200] > NUMBER // 5
