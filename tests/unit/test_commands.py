"""What adapters offer: the catalogue, and every way to get an adapter wrong."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from pythonpool.adapter import Adapter, AdapterError, Context, Session, command
from pythonpool.sdk.commands import catalogue, commands_of
from pythonpool.sdk.loading import load_adapter


class Sample(Adapter):
    """One command of each kind."""

    @command(name="price.of", timeout_seconds=5, idempotent=True)
    def price(self, context: Context, item: str, count: int = 1) -> float:
        """Price of `count` items.

        More about it.
        """
        return 1.0

    @command
    def values(self, n: int) -> Iterator[int]:
        """Yields."""
        yield n

    @command
    async def avalues(self) -> AsyncIterator[dict[str, int]]:
        yield {}

    @command
    async def wait(self, context) -> None:  # type: ignore[no-untyped-def]
        """Takes the context by name alone."""

    @command
    def upload(self, data: bytes) -> bytes:
        return data

    @command
    def anything(self, **args: Any) -> object:
        return args


def rows() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in catalogue(Sample())}


def test_the_catalogue_is_in_the_order_of_the_class() -> None:
    """As one reads it."""
    assert list(rows()) == ["price.of", "values", "avalues", "wait", "upload", "anything"]


def test_a_row_of_the_catalogue() -> None:
    """All that `GET …/commands` shows, and octets."""
    assert rows()["price.of"] == {
        "name": "price.of",
        "description": "Price of `count` items.\n\nMore about it.",
        "args_schema": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "item": {"title": "Item", "type": "string"},
                "count": {"title": "Count", "type": "integer", "default": 1},
            },
            "required": ["item"],
        },
        "result_schema": {"type": "number"},
        "timeout_seconds": 5,
        "idempotent": True,
        "streaming": False,
        "octets": False,
    }


def test_generators_are_streaming_and_their_result_is_a_list() -> None:
    """Plain and async."""
    assert rows()["values"]["streaming"]
    assert rows()["values"]["result_schema"] == {"type": "array", "items": {"type": "integer"}}
    assert rows()["avalues"]["streaming"]
    assert rows()["avalues"]["result_schema"]["items"]["type"] == "object"


def test_bytes_and_any_args_in_the_catalogue() -> None:
    """A body that is no JSON, and one with any names."""
    assert rows()["upload"]["octets"]
    assert rows()["upload"]["args_schema"]["contentMediaType"] == "application/octet-stream"
    assert rows()["anything"]["args_schema"] == {"type": "object", "additionalProperties": True}
    assert rows()["anything"]["result_schema"] == {}


def test_the_context_is_taken_by_type_or_by_name() -> None:
    """It is no arg."""
    found = commands_of(Sample)

    assert [name for name, row in found.items() if row.takes_context] == ["price.of", "wait"]
    assert rows()["wait"]["args_schema"]["properties"] == {}


def test_a_subclass_keeps_and_adds_commands() -> None:
    """An overridden one stays a command, under the name it had."""

    class More(Sample):
        def upload(self, data: bytes) -> bytes:
            """Another way."""
            return data

        @command
        def extra(self) -> None: ...

    found = commands_of(More)
    assert [*found][-1] == "extra"
    assert found["upload"].description == "Another way."


def bad_name() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def Price(self) -> None: ...  # noqa: N802

    return Bad


def untyped() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def price(self, item) -> None: ...  # type: ignore[no-untyped-def]

    return Bad


def typed_any_args() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def price(self, **prices: int) -> None: ...

    return Bad


def by_position() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def price(self, *items: str) -> None: ...

    return Bad


def twice() -> type[Adapter]:
    class Bad(Adapter):
        @command(name="price")
        def one(self) -> None: ...

        @command(name="price")
        def two(self) -> None: ...

    return Bad


def bytes_and_more() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def put(self, name: str, data: bytes) -> None: ...

    return Bad


def late_context() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def price(self, item: str, context: Context) -> None: ...

    return Bad


def hook_as_command() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def open(self) -> None: ...

    return Bad


def static() -> type[Adapter]:
    class Bad(Adapter):
        @command
        @staticmethod
        def price() -> None: ...

    return Bad


def bad_timeout() -> type[Adapter]:
    class Bad(Adapter):
        @command(timeout_seconds=0)
        def price(self) -> None: ...

    return Bad


def async_hook() -> type[Adapter]:
    class Bad(Adapter):
        async def open(self) -> None: ...  # type: ignore[override]

    return Bad


def save_alone() -> type[Adapter]:
    class Bad(Adapter):
        def save(self, session: Session) -> bytes:
            return b""

    return Bad


def unknown_type() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def price(self, item: "Nothing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    return Bad


def no_json_type() -> type[Adapter]:
    class Bad(Adapter):
        @command
        def price(self, path: Adapter) -> None: ...

    return Bad


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (bad_name, 'the name "Price" of Bad.Price must match ^[a-z][a-z0-9_.-]{0,63}$'),
        (untyped, 'parameter "item" of Bad.price must have a type'),
        (typed_any_args, '"**prices" of Bad.price must be of type Any: it takes any names'),
        (by_position, 'parameter "items" of Bad.price must be given by name, not by position'),
        (twice, 'Bad offers the command "price" twice'),
        (bytes_and_more, 'parameter "data" of Bad.put must be the only one'),
        (late_context, 'parameter "context" of Bad.price must be the first: it is the Context'),
        (hook_as_command, "command Bad.open must not have the name of a hook"),
        (static, "command Bad.price must be a plain method"),
        (bad_timeout, "timeout_seconds 0 of Bad.price must be 0 < t <= 86400"),
        (async_hook, "Bad.open must be a plain method, not async"),
        (save_alone, "Bad has save but no load; it must have both or none"),
        (unknown_type, "the types of Bad.price can not be read: name 'Nothing' is not defined"),
        (no_json_type, "the args of Bad.price can not be checked"),
    ],
)
def test_a_bad_adapter_is_one_clear_line(made: Callable[[], type[Adapter]], words: str) -> None:
    """When it is loaded, not at its first call."""
    with pytest.raises(AdapterError) as caught:
        commands_of(made())

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


class Model(BaseModel):
    """What a pool may configure."""

    model_config = ConfigDict(extra="forbid")
    greeting: str = "hello"


class Configured(Adapter):
    """Its config is checked by a model of its own."""

    config_model = Model


MODULE = """
from pythonpool import Adapter
from {here} import Configured

class Plain(Adapter): ...

class Broken(Adapter):
    def __init__(self):
        raise RuntimeError("not today")

number = 1
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters of a user's own, beside their manifest."""
    (tmp_path / "my_adapters.py").write_text(MODULE.format(here=__name__))
    (tmp_path / "my_typo.py").write_text("import nothing_like_this\n")
    (tmp_path / "my_crash.py").write_text("1 / 0\n")
    (tmp_path / "my_exit.py").write_text("raise SystemExit(1)\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_an_adapter_by_its_path() -> None:
    """`module:Class`, with its config before start()."""
    assert load_adapter("my_adapters:Plain", {"a": 1}).config == {"a": 1}
    assert load_adapter("my_adapters:Plain").config == {}


def test_an_adapter_by_its_name() -> None:
    """An entry point of the group."""
    assert type(load_adapter("general")).__name__ == "General"


def test_config_is_checked_by_the_adapters_own_model() -> None:
    """And is an instance of it."""
    assert load_adapter("my_adapters:Configured").config == Model()
    assert load_adapter("my_adapters:Configured", {"greeting": "hi"}).config.greeting == "hi"

    with pytest.raises(AdapterError, match=r"config of adapter .* greeting 1: .* valid string"):
        load_adapter("my_adapters:Configured", {"greeting": 1})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("genral", 'adapter "genral" is not installed, did you mean "general"?'),
        ("my_adapters:Plian", 'module my_adapters has no Plian, did you mean "Plain"?'),
        ("my_adapter:Plain", 'there is no module my_adapter, did you mean "my_adapters"?'),
        ("my_adapters:number", "must be a subclass of pythonpool.Adapter"),
        ("my_adapters:Broken", "can not be made: RuntimeError: not today"),
        ("my_typo:A", "can not be imported: ModuleNotFoundError: No module named 'nothing_like"),
        ("my_crash:A", "can not be imported: ZeroDivisionError: division by zero"),
        ("my_exit:A", "can not be imported: SystemExit: 1"),
        ("a:b:c", "must be the name of an adapter, or module:Class"),
        (":A", "must be the name of an adapter, or module:Class"),
    ],
)
def test_an_adapter_that_can_not_be_loaded(spec: str, words: str) -> None:
    """One line for the pool's status, with what was meant."""
    with pytest.raises(AdapterError) as caught:
        load_adapter(spec)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_context_for_tests_of_adapters() -> None:
    """Made by hand it is quiet, and not cancelled."""
    context = Context()

    context.progress(0.5, step=1)
    assert not context.is_cancelled
    assert context.session is None
