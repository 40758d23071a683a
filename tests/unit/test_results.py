"""Results and states as JSON; errors that fit their frame."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import uuid
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
from pydantic import BaseModel

from pythonpool.errors import CommandFailed
from pythonpool.messages import END_HEAD, MAX_PAYLOAD
from pythonpool.sdk.state import encode_state
from pythonpool_worker.executor.failures import describe, error_payload
from pythonpool_worker.executor.results import encode

NAN = float("nan")
Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Point:
    """A dataclass as a result."""

    x: Any


class Item(BaseModel):
    """A model as a result."""

    name: Any


class Colour(enum.Enum):
    """An enum as a result."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (None, None),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        (Pair(1, 2), [1, 2]),
        ({3}, [3]),
        (frozenset({"a"}), ["a"]),
        (OrderedDict(a=1), {"a": 1}),
        (b"\0\1", {"$bytes": "AAE="}),
        ([bytearray(b"a"), memoryview(b"b")], [{"$bytes": "YQ=="}, {"$bytes": "Yg=="}]),
        (Point(b"a"), {"x": {"$bytes": "YQ=="}}),
        (Point(2**70), {"x": 2**70}),
        (Item(name=[b"a"]), {"name": [{"$bytes": "YQ=="}]}),
        ([Item(name=1)], [{"name": 1}]),
        (Colour.RED, "red"),
        ({Colour.RED: Colour.RED}, {"red": "red"}),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.datetime(2026, 1, 31, tzinfo=dt.UTC), "2026-01-31T00:00:00+00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (pathlib.PurePosixPath("/tmp"), "/tmp"),
        (
            {1: "a", False: "b", None: "c", 1.5: "d"},
            {"1": "a", "false": "b", "null": "c", "1.5": "d"},
        ),
        ({dt.date(2026, 1, 31): 1}, {"2026-01-31": 1}),
        ([2**64, -(2**70)], [2**64, -(2**70)]),
        (
            {"deep": {"er": [2**70, {1: b"a"}]}},
            {"deep": {"er": [2**70, {"1": {"$bytes": "YQ=="}}]}},
        ),
        ("é\u2028", "é\u2028"),
    ],
)
def test_results_have_a_sensible_form(value: Any, body: Any) -> None:
    """Whatever Python people return."""
    text, has_nan = encode(value)

    assert json.loads(text) == body
    assert not has_nan


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (NAN, None),
        (math.inf, None),
        ([1.5, -math.inf], [1.5, None]),
        ({"a": {"b": (NAN,)}}, {"a": {"b": [None]}}),
        (Point(NAN), {"x": None}),
        (Item(name=NAN), {"name": None}),
        ([NAN, 2**70], [None, 2**70]),
    ],
)
def test_nan_becomes_null_and_is_told(value: Any, body: Any) -> None:
    """The log says so; a null of the command's own is no reason to."""
    text, has_nan = encode(value)

    assert json.loads(text) == body
    assert has_nan
    assert encode([None, {"null": "null"}]) == (b'[null,{"null":"null"}]', False)


def test_numpy_is_as_plain_as_lists() -> None:
    """Arrays and scalars."""
    numpy = pytest.importorskip("numpy")

    assert encode(numpy.arange(3)) == (b"[0,1,2]", False)
    assert encode({"a": numpy.float32(1.5), "b": numpy.int64(2), "c": numpy.bool_(True)}) == (
        b'{"a":1.5,"b":2,"c":true}',
        False,
    )
    assert encode(numpy.arange(4).reshape(2, 2).T) == (b"[[0,2],[1,3]]", False)
    assert encode(numpy.array([1.0, NAN])) == (b"[1.0,null]", True)


@pytest.mark.parametrize(
    "value", [object(), 1j, [object()], {(1, 2): 3}, "\ud800", {"a": int}, Item, {NAN: 1}]
)
def test_what_json_can_not_carry(value: Any) -> None:
    """A TypeError of the command's."""
    with pytest.raises(TypeError):
        encode(value)


def test_whole_numbers_of_too_many_digits() -> None:
    """Python itself refuses to write them; the caller reads a TypeError."""
    with pytest.raises(TypeError, match="digits"):
        encode(10**5000)


def test_a_result_that_holds_itself() -> None:
    """It ends, with a TypeError."""
    cycle: list[Any] = []
    cycle.append(cycle)

    with pytest.raises(TypeError):
        encode(cycle)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"a": [1, 2.5, None, True, "é"]},
        {"big": 2**100},
        {"null": None, "inf": math.inf},
        {"deep": {"er": [{}]}},
    ],
)
def test_a_state_comes_back_as_it_was(state: dict[str, Any]) -> None:
    """Or it would not be the same state."""
    assert json.loads(encode_state(state)) == state


def test_nan_in_a_state_is_kept() -> None:
    """A null would be another state."""
    assert math.isnan(json.loads(encode_state({"a": NAN}))["a"])


@pytest.mark.parametrize(
    "state",
    [{1: "a"}, {"a": {2: 3}}, {"a": {1}}, {"a": b""}, {"a": object()}, {"a": Point(1)},
     {"a": dt.date(2026, 1, 31)}, {"big": 2**100, "a": {1: 2}}],
)  # fmt: skip
def test_a_state_that_would_change_is_refused(state: dict[Any, Any]) -> None:
    """Results may become texts and lists; a state may not."""
    with pytest.raises(TypeError):
        encode_state(state)


def raised(error: BaseException) -> BaseException:
    """The same with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


class Mute(Exception):
    """Its text can not be read."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_is_described() -> None:
    """Type, message, and a traceback with the cause."""
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as error:
        made = describe(error)

    assert (made["type"], made["message"]) == ("ValueError", "outer")
    assert "KeyError: 'inner'" in made["traceback"]
    assert made["traceback"].rstrip().endswith("ValueError: outer")


def test_an_exception_that_can_not_be_read() -> None:
    """Is described all the same."""
    made = describe(raised(Mute()))

    assert made["type"] == "Mute"
    assert "RuntimeError" in made["message"]


@pytest.mark.parametrize(
    "text", ["x" * 50_000, "é" * 50_000, "\0" * 50_000, "\ud800" * 9, '"' * 50_000]
)
def test_texts_are_cut_and_the_error_fits_its_frame(text: str) -> None:
    """16 KiB each, and one frame in all, however much escaping makes of it."""
    made = describe(raised(ValueError(text)))
    assert max(len(part.encode()) for part in made.values()) <= 16_384

    payload = error_payload(CommandFailed("it failed", exception=made), 32, 1000)

    assert len(payload) <= MAX_PAYLOAD
    assert END_HEAD.unpack_from(payload) == (32, 1000)
    assert json.loads(payload[END_HEAD.size :])["exception"]["type"] == "ValueError"


def test_the_end_of_a_long_traceback_is_kept() -> None:
    """It says where it happened."""

    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise ValueError("at the bottom " + "y" * 2000)

    def wide(n: int) -> None:
        try:
            deep(3)
        except ValueError:
            if n:
                wide(n - 1)
            raise

    with pytest.raises(ValueError, match="at the bottom") as caught:
        wide(20)
    made = describe(caught.value)

    assert len(made["traceback"].encode()) <= 16_384
    assert "bytes cut" in made["traceback"]
