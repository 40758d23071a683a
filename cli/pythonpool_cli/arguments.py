"""`key=value` words as args, typed by the command's JSON Schema. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pythonpool_cli.exits import USAGE, Failure

JsonObject = dict[str, Any]


def split_pairs(words: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=x=y"]` as `{"a": "1", "b": "x=y"}`.

    Raises:
        Failure: a word is not `key=value`, or a key comes twice (all of them named).
    """
    pairs: dict[str, str] = {}
    mistakes = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            mistakes.append(f'argument "{word}" must be key=value')
        elif key in pairs:
            mistakes.append(f'argument "{key}" is given twice')
        else:
            pairs[key] = value
    if mistakes:
        raise Failure("; ".join(mistakes), USAGE)
    return pairs


def schema_matters(pairs: Mapping[str, str]) -> bool:
    """Whether any value could be read in two ways, so that the schema has to be asked."""
    return any(
        not isinstance(json_or_text(value), str) or value[:1] == '"' for value in pairs.values()
    )


def typed_args(pairs: Mapping[str, str], schema: Mapping[str, Any] | None) -> JsonObject:
    """Text where the schema says string; else JSON where it parses; else text."""
    known = schema or {}
    properties, others = known.get("properties", {}), known.get("additionalProperties", {})
    return {
        key: value if wants_text(properties.get(key, others), known) else json_or_text(value)
        for key, value in pairs.items()
    }


def json_or_text(value: str) -> Any:
    """The JSON value that `value` spells, or `value` itself."""
    try:
        return json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return value


def json_object(text: str, option: str) -> JsonObject:
    """The JSON object that an option was given.

    Raises:
        Failure: it is not JSON, or not an object.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{option} is not JSON: {error}", USAGE) from error
    if not isinstance(value, dict):
        raise Failure(f"{option} must be a JSON object, not {text[:60]}", USAGE)
    return value


def wants_text(schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether a schema takes text and nothing else, null aside."""
    kinds = _kinds(schema, root, depth=0)
    return "string" in kinds and kinds <= {"string", "null"}


def _kinds(schema: Any, root: Mapping[str, Any], depth: int) -> set[str]:
    if not isinstance(schema, dict) or depth > 8:  # a $ref may go in circles
        return {"any"}
    if isinstance(schema.get("$ref"), str):
        return _kinds(_referred(schema["$ref"], root), root, depth + 1)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return set().union(*(_kinds(branch, root, depth + 1) for branch in branches))
    if "type" in schema:
        kinds = schema["type"]
        return set(kinds) if isinstance(kinds, list) else {kinds}
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {"string" if isinstance(value, str) else "any" for value in values} or {"any"}


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
