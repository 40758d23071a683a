"""The general adapter's commands on a real executor: their answers to the letter of API.md 2.4."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from spoken_executor import Executor

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(scope="module")
def general() -> Iterator[Executor]:
    """One executor of the general adapter."""
    made = Executor("general", pool="general", worker="general-x7k2p")
    made.opened()
    yield made
    made.close()


def test_ping(general: Executor) -> None:
    """Who answered, and when."""
    value = general.call("ping").value

    assert STAMP.fullmatch(value.pop("timestamp"))
    assert value == {"status": "ok", "pool": "general", "worker": "general-x7k2p"}


@pytest.mark.parametrize(
    "args",
    [{}, {"message": "Hello"}, {"self": 1, "context": 2, "args": 3}, {"é": [None, 1.5, {"a": []}]}],
)
def test_echo_takes_any_names(general: Executor, args: dict[str, Any]) -> None:
    """Also those that Python functions have themselves."""
    value = general.call("echo", args).value

    assert list(value) == ["status", "echoed", "timestamp"]
    assert value["echoed"] == args


@pytest.mark.parametrize(
    ("operation", "a", "b", "result"),
    [
        ("add", 2, 3, 5),
        ("subtract", 2, 3.5, -1.5),
        ("multiply", 2**40, 2**40, 2**80),
        ("divide", 1, 4, 0.25),
        ("power", 2, 10, 1024),
        ("modulo", 7, 4, 3),
    ],
)
def test_compute(general: Executor, operation: str, a: float, b: float, result: float) -> None:
    """All six."""
    value = general.call("compute", {"operation": operation, "a": a, "b": b}).value

    assert STAMP.fullmatch(value.pop("timestamp"))
    assert value == {
        "status": "ok",
        "operation": operation,
        "inputs": {"a": a, "b": b},
        "result": result,
    }


@pytest.mark.parametrize("operation", ["divide", "modulo"])
def test_division_by_zero(general: Executor, operation: str) -> None:
    """The command's own failure."""
    answer = general.call("compute", {"operation": operation, "a": 1, "b": 0})

    assert answer.code == "command_failed"
    assert answer.value["exception"]["type"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"operation": "root", "a": 1, "b": 2}, "operation"),
        ({"operation": "add", "a": "1", "b": 2}, 'a "1" must be'),
        ({"operation": "add", "a": True, "b": 2}, "a true must be"),
        ({"operation": "add", "a": 1}, "b is missing"),
        ({"operation": "add", "a": 1, "b": 2, "c": 3}, "c is not known"),
    ],
)
def test_compute_is_strict(general: Executor, args: dict[str, Any], words: str) -> None:
    """The field is named."""
    answer = general.call("compute", args)

    assert answer.code == "invalid_argument"
    assert words in answer.value["detail"]


def test_info_and_list_commands(general: Executor) -> None:
    """What runs there, and what it offers."""
    names = ["ping", "echo", "compute", "info", "list_commands"]
    info = general.call("info").value
    listed = general.call("list_commands").value

    assert (info["adapter"], info["commands"]) == ("general", names)
    assert {"versions", "platform", "limits"} <= set(info)
    assert [row["name"] for row in listed["commands"]] == names
    assert all(row["description"] for row in listed["commands"])


def test_the_shop_of_the_documentation() -> None:
    """The example works as it stands: state, streams, bytes."""
    shop = Executor("shop:Shop")
    shop.opened()
    shop.open_session("s")

    assert shop.call("price", {"item": "tea", "count": 2}).value == 5.0
    assert shop.call("price", {"item": "soup"}).value["exception"]["type"] == "KeyError"
    assert shop.call("put", {"item": "tea"}, session="s").value == {"tea": 1}
    assert shop.call("put", {"item": "tea"}, session="s").value == {"tea": 2}
    assert shop.call("put", {"item": "tea"}).code == "command_failed"
    assert shop.call("sell", {"item": "tea"}).value == {"item": "tea", "sold_here": 1}
    assert shop.call("receipt", {"item": "cake"}).body.startswith(b"1 x cake")
    streamed = shop.call("stocktaking", {"seconds_each": 0}, stream=True)
    assert [row["item"] for row in streamed.chunks] == ["cake", "coffee", "tea"]
    shop.close()
