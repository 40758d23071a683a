"""What workers say is judged: hand-made lies, and random ones that raise only what is known."""

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pythonpool.names import SessionHandle
from pythonpool_router import said

MINE = SessionHandle.new("general", "general-abcde", "0123456789abcdef")
ODD: list[Any] = [
    None, True, -1, 2**53 + 1, 1.5, 1e300, "", "x" * 100, "a\r\nb", [], [1], {}, {"a": 1}, {"": []},
]  # fmt: skip


def lie(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value, mostly a wrong one."""
    if depth > 3 or chance.random() < 0.5:
        return chance.choice(ODD)
    if chance.random() < 0.5:
        return [lie(chance, depth + 1) for _ in range(chance.randrange(3))]
    words = (
        "name",
        "timeout_seconds",
        "session_id",
        "code",
        "cause",
        "exception",
        "retry_after_ms",
    )
    return {chance.choice(words): lie(chance, depth + 1) for _ in range(chance.randrange(5))}


def test_readers_raise_what_closes_a_link_and_nothing_else() -> None:
    chance = random.Random(6)
    readers: list[Callable[[Any], object]] = [
        said.number, said.state, said.moment, said.totals, said.catalogue_of,
        lambda value: said.problem(orjson.dumps(value), "w"),
        lambda value: said.session(value, "general", "w", "0" * 16),
    ]  # fmt: skip
    for _ in range(3000):
        value = lie(chance)
        for reader in readers:
            try:
                reader(value)
            except (KeyError, TypeError, ValueError):
                continue


@pytest.mark.parametrize("value", [True, -1, 1.5, "1", None, 2**53 + 1])
def test_a_number_is_whole_and_within_bounds(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        said.number(value)


@pytest.mark.parametrize(
    "rows",
    [
        {"name": "echo"},
        ["echo"],
        [{}],
        [{"name": 5}],
        [{"name": "Echo"}],
        [{"name": "echo", "timeout_seconds": "5"}],
        [{"name": "echo", "timeout_seconds": -1}],
        [{"name": f"c{n}"} for n in range(said.MAX_COMMANDS + 1)],
    ],
)
def test_a_catalogue_names_commands(rows: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        said.catalogue_of(rows)


@pytest.mark.parametrize(
    "value", [{"a": -1}, {"a": "1"}, {"x" * 65: 1}, [], {str(n): 1 for n in range(600)}]
)
def test_totals_are_few_and_counted(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        said.totals(value)


def test_a_pool_tells_a_bounded_number_of_causes_apart() -> None:
    sums: dict[str, int] = {}
    for number in range(5000):
        said.add_growth(sums, {}, {f"cause-{number}": 1})

    assert len(sums) == said.MAX_TOTALS + 1
    assert sum(sums.values()) == 5000


def test_an_error_keeps_what_is_of_its_kind() -> None:
    """Numbers and texts go into fields of a head: a wrong one is left out, a right one stays."""
    told = {
        "code": "resource_exhausted",
        "detail": ["x"],
        "cause": 7,
        "retry_after_ms": "soon",
        "worker": "x\r\nSet-Cookie: a",
        "execution_id": "x\r\n",
        "exception": {"type": 1},
        "stack": "s",
    }

    error = said.problem(orjson.dumps(told), "w")

    assert (error.code, error.detail) == ("resource_exhausted", "Python pool is at capacity")
    assert (error.cause, error.retry_after_ms, error.exception) == (None, None, None)
    assert (error.worker, error.execution_id, error.stack) == ("w", None, "s")


@pytest.mark.parametrize(
    "handle",
    [
        "x\r\nLocation: y",
        str(SessionHandle.new("other", MINE.worker, MINE.incarnation)),
        str(SessionHandle.new(MINE.pool, "general-fghij", MINE.incarnation)),
        str(SessionHandle.new(MINE.pool, MINE.worker, "f" * 16)),
        None,
    ],
)
def test_a_session_is_of_the_life_that_tells_of_it(handle: str | None) -> None:
    where = (MINE.pool, MINE.worker, MINE.incarnation)
    assert said.session({"session_id": str(MINE)}, *where) == {"session_id": str(MINE)}
    with pytest.raises(ValueError, match="no session"):
        said.session({"session_id": handle}, *where)
