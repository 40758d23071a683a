"""The pure parts of the command line: words to args, errors to exit codes and one line."""

from typing import Any

import pytest

from pythonpool import errors
from pythonpool_cli.arguments import json_object, schema_matters, split_pairs, typed_args
from pythonpool_cli.exits import Failure, exit_code_of, failure_of

STRING: dict[str, Any] = {"type": "string"}

EXIT_CODES = {
    "command_failed": 1,
    "worker_crashed": 1,
    "out_of_memory": 1,
    "result_too_large": 1,
    "internal": 1,
    "cancelled": 1,
    "invalid_argument": 2,
    "pool_not_found": 2,
    "command_not_found": 2,
    "session_not_found": 2,
    "execution_not_found": 2,
    "worker_not_found": 2,
    "not_found": 2,
    "method_not_allowed": 2,
    "header_too_large": 2,
    "session_expired": 2,
    "session_lost": 2,
    "execution_lost": 2,
    "payload_too_large": 2,
    "resource_exhausted": 3,
    "unavailable": 3,
    "timeout": 4,
    "request_timeout": 4,
    "unauthenticated": 5,
    "permission_denied": 5,
}


def test_every_code_has_the_exit_code_of_the_contract() -> None:
    assert {code: exit_code_of(kind("x")) for code, kind in errors.BY_CODE.items()} == EXIT_CODES


@pytest.mark.parametrize("code", sorted(EXIT_CODES))
def test_every_error_is_one_line(code: str) -> None:
    error = errors.BY_CODE[code]("what\nhappened", suggestion="try {this}", retry_after_ms=1500)

    line = failure_of(error, "pythonpool", {"pool": "general", "command": "echo"}).line

    assert line.startswith("what happened")
    assert "\n" not in line


def test_an_error_ends_with_the_next_command_to_type() -> None:
    missing = errors.CommandNotFound('pool "general" offers no "eco"')
    refused = errors.ResourceExhausted("at capacity", retry_after_ms=1500)
    values = {"pool": "general", "command": "eco"}

    assert failure_of(missing, "kubectl pythonpool", values).line == (
        'pool "general" offers no "eco"; see: kubectl pythonpool commands general'
    )
    assert failure_of(refused, "pythonpool", values).line == "at capacity; try again in 1.5 s"


def test_a_broken_connection_says_whether_a_new_try_is_safe() -> None:
    lost = errors.Internal("broke", outcome="unknown", cause="connection_lost")
    read = errors.Unavailable("broke", outcome="not_started", cause="connection_lost")

    assert failure_of(lost, "pythonpool", {}).line == "broke; it may have run"
    assert failure_of(read, "pythonpool", {}).line == "broke; try again"


@pytest.mark.parametrize(
    ("word", "schema", "value"),
    [
        ("x=5", STRING, "5"),
        ("x=5", {"type": "integer"}, 5),
        ("x=5", {}, 5),
        ("x=true", {"type": "boolean"}, True),
        ("x=null", {"anyOf": [STRING, {"type": "null"}]}, "null"),
        ("x=5", {"anyOf": [STRING, {"type": "integer"}]}, 5),
        ("x=5", {"type": ["string", "null"]}, "5"),
        ("x=1", {"enum": ["1", "2"]}, "1"),
        ("x=1", {"const": "1"}, "1"),
        ("x=1", {"enum": [1, 2]}, 1),
        ("x=5", {"$ref": "#/$defs/Name"}, "5"),
        ("x=5", {"$ref": "#/$defs/Loop"}, 5),
        ("x=5", {"$ref": "#/$defs/Missing"}, 5),
        ('x={"a": [1]}', {"type": "object"}, {"a": [1]}),
        ("x=hello", {"type": "integer"}, "hello"),
        ("x=NaN", {"type": "number"}, "NaN"),
        ("x=", {}, ""),
        ("x=a=b", STRING, "a=b"),
        ('x="q"', STRING, '"q"'),
        ('x="q"', {}, "q"),
    ],
)
def test_a_value_is_text_where_the_schema_says_string(
    word: str, schema: dict[str, Any], value: object
) -> None:
    whole = {
        "properties": {"x": schema},
        "$defs": {"Name": STRING, "Loop": {"$ref": "#/$defs/Loop"}},
    }

    typed = typed_args(split_pairs([word]), whole)

    assert typed == {"x": value}
    assert type(typed["x"]) is type(value)


def test_names_that_the_schema_leaves_open_follow_its_rule_for_these() -> None:
    pairs = split_pairs(["x=5"])

    assert typed_args(pairs, {"additionalProperties": True}) == {"x": 5}
    assert typed_args(pairs, {"additionalProperties": STRING}) == {"x": "5"}
    assert typed_args(pairs, None) == {"x": 5}


def test_the_schema_is_only_asked_for_when_it_can_matter() -> None:
    assert not schema_matters({"x": "hello", "y": ""})
    assert schema_matters({"x": "5"})
    assert schema_matters({"x": '"q"'})


def test_all_bad_words_are_named_at_once() -> None:
    with pytest.raises(Failure) as caught:
        split_pairs(["a", "=b", "c=1", "c=2"])

    assert caught.value.exit_code == 2
    assert caught.value.line.count("; ") == 2


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": NaN}', "5"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="--json"):
        json_object(text, "--json")
