"""Strict args, as API.md section 2 says: what is taken, what is refused, and in which words."""

import dataclasses
import datetime as dt
import enum
import inspect
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from pythonpool.errors import InvalidArgument
from pythonpool.sdk.args import MAX_DEPTH, args_reader


class Item(BaseModel):
    """A model of the user's own that says nothing about strictness."""

    name: str
    count: int = 1


class Open(BaseModel):
    """A model that takes any names."""

    model_config = ConfigDict(extra="allow")
    name: str


@dataclasses.dataclass
class Point:
    """A dataclass as an argument."""

    x: float
    y: float = 0.0


class Shape(TypedDict):
    """A typed dict as an argument."""

    sides: int


class Colour(enum.Enum):
    """An enum by value."""

    RED = "red"


class Tree(BaseModel):
    """A model that holds itself."""

    value: int
    below: list["Tree"] = []


def read(function: Any, body: bytes) -> dict[str, Any]:
    """What the command `function` would be called with."""
    signature = inspect.signature(function)
    return args_reader("make", list(signature.parameters.values())).read(body)


def refused(function: Any, body: bytes) -> str:
    """The words in which it is refused."""
    with pytest.raises(InvalidArgument) as caught:
        read(function, body)
    assert "\n" not in caught.value.detail
    return caught.value.detail


def one(kind: Any) -> Any:
    """A command with one argument `a` of a type."""

    def make(a: kind) -> None: ...

    return make


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "1", 1),
        (int, "1.0", 1),
        (int, "-0.0", 0),
        (int, "1e3", 1000),
        (int, "123456789012345678901234567890", 123456789012345678901234567890),
        (float, "1", 1.0),
        (float, "1.5", 1.5),
        (float, "1e-400", 0.0),
        (bool, "true", True),
        (str, '"x"', "x"),
        (str, '"\\u00e9\\ud83d\\ude00"', "é😀"),
        (str, '"NaN"', "NaN"),
        (str, '"Infinity [1e999]"', "Infinity [1e999]"),
        (None, "null", None),
        (int | None, "null", None),
        (int | str, '"x"', "x"),
        (int | float, "2.5", 2.5),
        (list[int], "[1, 2.0]", [1, 2]),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (set[int], "[1, 1]", {1}),
        (dict[str, int], '{"a": 1.0}', {"a": 1}),
        (dict[int, str], '{"1": "a", "-2": "b"}', {1: "a", -2: "b"}),
        (Literal["up", 3], '"up"', "up"),
        (Literal["up", 3], "3", 3),
        (Colour, '"red"', Colour.RED),
        (dt.date, '"2026-01-31"', dt.date(2026, 1, 31)),
        (Annotated[int, Field(ge=1)], "1.0", 1),
        (Item, '{"name": "a", "count": 2.0}', Item(name="a", count=2)),
        (list[Item], '[{"name": "a"}]', [Item(name="a")]),
        (Open, '{"name": "a", "more": 1}', Open.model_validate({"name": "a", "more": 1})),
        (Point, '{"x": 1}', Point(1.0)),
        (Shape, '{"sides": 3.0}', {"sides": 3}),
        (Tree, '{"value": 1, "below": [{"value": 2.0}]}', Tree(value=1, below=[Tree(value=2)])),
        (Any, '{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
    ],
)
def test_what_fits_is_taken(kind: Any, text: str, value: Any) -> None:
    """Values of JSON, and no more leniency than API.md grants."""
    taken = read(one(kind), b'{"a": %s}' % text.encode())["a"]

    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (int, "1.5", "make: a 1.5 must be a whole number"),
        (int, "true", "make: a true must be a whole number"),
        (int, '"1"', 'make: a "1" must be a whole number'),
        (int, "null", "make: a null must be a whole number"),
        (
            int,
            "1e999",
            "make: args must be JSON (RFC 8259, UTF-8): a number is too large for a float",
        ),
        (float, '"1"', 'make: a "1" must be a number'),
        (float, "true", "make: a true must be a number"),
        (bool, "1", "make: a 1 must be true or false"),
        (bool, '"true"', 'make: a "true" must be true or false'),
        (str, "1", "make: a 1 must be text"),
        (str, "null", "make: a null must be text"),
        (list[int], '{"0": 1}', 'make: a {"0":1} must be a list'),
        (list[int], '[1, "2"]', 'make: a.1 "2" must be a whole number'),
        (tuple[int, ...], "[1.5]", "make: a.0 1.5 must be a whole number"),
        (dict[str, int], "[]", "make: a [] must be an object"),
        (dict[str, int], '{"k": true}', "make: a.k true must be a whole number"),
        (int | None, '"x"', 'make: a "x" must be a whole number'),
        (int | float, '"x"', 'make: a "x" must be a whole number or must be a number'),
        (Literal["up", "down"], '"left"', "make: a \"left\" must be 'up' or 'down'"),
        (Colour, '"blue"', "make: a \"blue\" must be 'red'"),
        (Annotated[int, Field(ge=1)], "0", "make: a 0 must be greater than or equal to 1"),
        (Item, "[]", "make: a [] must be an object"),
        (Item, '{"count": 1}', "make: a.name is missing"),
        (Item, '{"name": "a", "count": "1"}', 'make: a.count "1" must be a whole number'),
        (Item, '{"name": "a", "x": 1}', "make: a.x is not known"),
        (list[Item], '[{"name": 1}]', "make: a.0.name 1 must be text"),
        (Point, '{"x": 1, "z": 1}', "make: a.z is not known"),
        (Shape, '{"sides": 3.5}', "make: a.sides 3.5 must be a whole number"),
        (Shape, '{"sides": 3, "x": 0}', "make: a.x is not known"),
        (Tree, '{"value": 1, "below": [{"value": 2, "x": 0}]}', "make: a.below.0.x is not known"),
        (dt.date, "5", "make: a 5 must be a valid date"),
    ],
)
def test_what_does_not_fit_is_named(kind: Any, text: str, words: str) -> None:
    """The field, its value and what it must be, at any depth, in one line."""
    assert refused(one(kind), b'{"a": %s}' % text.encode()) == words


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": 1,}',
        b'{"a": 01}',
        b'{"a": .5}',
        b'{"a": 1.}',
        b'{"a": +1}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": [Infinity]}',
        b'{"a": 1e999}',
        b'{"a": [-1e400]}',
        b'{"a": 1%s.5}' % (b"0" * 400),
        b"{'a': 1}",
        b'{"a": 1} x',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\t"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1 /* one */}',
        b"\0",
    ],
)
def test_only_rfc_8259_in_utf_8(body: bytes) -> None:
    """Whatever the command takes, also where the value would not be looked at."""

    def make(**args: Any) -> None: ...

    for command in (one(Any), one(int), make):
        assert refused(command, body).startswith("make: args must be JSON (RFC 8259, UTF-8): ")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"a"', b"null", b"[1, 2]"])
def test_args_are_an_object(body: bytes) -> None:
    """Named, never by position."""

    def make(**args: Any) -> None: ...

    for command in (one(Any), make):
        assert "args must be a JSON object" in refused(command, body)


@pytest.mark.parametrize("kind", [Any, None])
@pytest.mark.parametrize("inner", [b"", b"1", b"{}", b'"["'])
def test_depth(kind: Any, inner: bytes) -> None:
    """The args object is 1, and 200 is the deepest."""

    def make(**args: Any) -> None: ...

    command = one(Any) if kind is Any else make
    used = 2 if inner == b"{}" else 1
    lists = MAX_DEPTH - used
    deepest = b'{"a": ' + b"[" * lists + inner + b"]" * lists + b"}"
    too_deep = b'{"a": ' + b"[" * (lists + 1) + inner + b"]" * (lists + 1) + b"}"

    assert read(command, deepest)["a"]
    assert refused(command, too_deep) == "make: args must be nested at most 200 deep"
    assert "200 deep" in refused(command, b'{"a":' * 100_000)


def test_brackets_in_texts_are_no_depth() -> None:
    """Nor are many that stand side by side."""
    assert read(one(Any), b'{"a": "%s[ ]"}' % (b"[" * 1000))
    assert len(read(one(Any), b'{"a": [%s]}' % b",".join([b"[]"] * 1000))["a"]) == 1000


def test_of_duplicate_names_the_last_counts() -> None:
    """As API.md says."""
    assert read(one(int), b'{"a": 1, "a": 2}') == {"a": 2}


def test_an_empty_body_is_no_args() -> None:
    """And what is left out keeps the function's own default."""

    def make(a: int = 1, b: str | None = None) -> None: ...

    assert read(make, b"") == {}
    assert refused(one(int), b"") == "make: a is missing"


def test_none_as_default_may_be_given() -> None:
    """`a: int = None` takes null, as many write it."""

    def make(
        a: int = None,  # type: ignore[assignment]  # noqa: RUF013
        b: Annotated[str, "x"] = None,  # type: ignore[assignment]  # noqa: RUF013
    ) -> None: ...

    assert read(make, b'{"a": null, "b": null}') == {"a": None, "b": None}


def test_unknown_names_are_refused_with_a_hint() -> None:
    """The near one, else what there is; several mistakes in one line, and not too many."""

    def make(item: str, count: int = 1) -> None: ...

    assert refused(make, b'{"itm": "a"}') == (
        'make: item is missing; itm is not known, did you mean "item"?'
    )
    assert refused(make, b'{"item": "a", "zzz": 1}') == (
        "make: zzz is not known; it takes item, count"
    )
    many = b"{%s}" % b",".join(b'"x%d": 1' % index for index in range(20))
    assert refused(make, many).endswith("; and 16 more")
    assert len(refused(one(int), b'{"a": "%s"}' % (b"x" * 10_000))) < 200


def test_any_args() -> None:
    """`**args: Any`, alone or after named ones."""

    def make(**args: Any) -> None: ...

    def named(a: int, **more: Any) -> None: ...

    assert read(make, b'{"a": 1, "class": [2]}') == {"a": 1, "class": [2]}
    assert read(make, b"") == {}
    assert read(named, b'{"a": 1.0, "b": "x"}') == {"a": 1, "b": "x"}
    assert refused(named, b'{"a": 1.5, "b": "x"}') == "make: a 1.5 must be a whole number"


def test_one_argument_of_bytes_is_the_body() -> None:
    """It is no JSON at all."""
    assert read(one(bytes), b"\xff{") == {"a": b"\xff{"}
    assert read(one(bytes), b"") == {"a": b""}
