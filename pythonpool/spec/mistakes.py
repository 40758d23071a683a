"""Every mistake in a PythonPool as one line: the field's path, its value, what it must be.

`spec.concurrency is 1000, must be at most 256`. The only place that knows pydantic's errors.
"""

import json
import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pythonpool.spec.fields import PATTERN_WORDS

MAX_VALUE = 60
MAX_NAMES = 8

_KEY = "[key]"  # how pydantic marks a mistake in a key of an object
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_KINDS = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "string_type": "text (in quotes when it looks like something else)",
    "string_unicode": "text in UTF-8",
    "dict_type": "an object of names and values",
    "model_type": "an object of names and values",
    "tuple_type": "a list",
}


def lines(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """All mistakes of `error`, which came from validating `model`, in the order of the fields."""
    found: list[str] = []
    for details in error.errors(include_url=False):
        found.extend(_of_one(details, model))
    return list(dict.fromkeys(found))


def path_text(path: tuple[int | str, ...]) -> str:
    """`spec.env[0].name`; names that are not plain stand in brackets and quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.match(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part)}]"
    return text or "the document"


def value_text(value: object) -> str:
    """`value` as JSON in one line, cut after 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = " ".join(repr(value).split())
    text = text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
    return text.encode("utf-8", "replace").decode()  # half a character would break a terminal


def _of_one(details: ErrorDetails, model: type[BaseModel]) -> list[str]:
    kind, path, context = details["type"], details["loc"], details.get("ctx", {})
    if kind == "rules":
        where = path_text(path) if path else ""
        return [_joined(where, field) + f" {words}" for field, words in context["broken"]]
    if kind == "extra_forbidden":
        return [_unknown(path, model)]
    if kind == "missing":
        return [f"{path_text(path)} is missing, must be given"]
    what = f"must be {_must(kind, context, details['msg'])}"
    if path and path[-1] == _KEY:
        return [f"{path_text(path[:-2])} has the key {value_text(path[-2])}, {what}"]
    # The value of a variable may be a secret that stands in the wrong place.
    value = "…" if "env" in path and path[-1] == "value" else value_text(details["input"])
    return [f"{path_text(path)} is {value}, {what}"]


def _joined(where: str, field: str) -> str:
    return where + field if field.startswith("[") or not where else f"{where}.{field}"


def _must(kind: str, context: dict[str, Any], message: str) -> str:
    """What a value must be, in words."""
    if kind in _KINDS:
        return _KINDS[kind]
    match kind:
        case "must":
            return str(context["must"])
        case "greater_than_equal":
            return f"at least {context['ge']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case "string_too_short":
            return "text that is not empty"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "too_long":
            return f"at most {context['max_length']} entries"
        case "string_pattern_mismatch":
            return PATTERN_WORDS[context["pattern"]]
        case "literal_error":
            return str(context["expected"]).replace("'", "").replace("True", "true")
        case _:
            return f"valid ({' '.join(message.split())})"


def _unknown(path: tuple[int | str, ...], model: type[BaseModel]) -> str:
    from difflib import get_close_matches

    name = str(path[-1])
    known = _fields_at(path[:-1], model)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        hint = f", did you mean {near[0]}?"
    else:
        hint = f", must be one of {', '.join(known)}" if 0 < len(known) <= MAX_NAMES else ""
    return f"{path_text(path)} is not a field{hint}"


def _fields_at(path: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The wire names of the fields of the model that stands at `path` under `model`."""
    here: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        below = [
            field.annotation
            for name, field in here.model_fields.items()
            if (field.alias or name) == part
        ]
        here = next((found for kind in below for found in _models(kind)), None)
        if here is None:
            return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models named in an annotation, through `| None`, Annotated and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated, tuple):
        return [found for arg in get_args(annotation) for found in _models(arg)]
    return []
