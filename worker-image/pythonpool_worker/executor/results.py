"""What a command returns, as the body of an answer.

NaN and infinities become null; bytes inside JSON stand as `{"$bytes": BASE64}`; numpy, pydantic,
dataclasses, dates, enums, sets and paths as one would expect; what JSON can not carry is refused.
"""

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_BYTES = (bytes, bytearray, memoryview)
_MAX_DEPTH = 250  # where orjson gives up, too


def is_octets(value: object) -> bool:
    """Whether a result is the body itself, as application/octet-stream."""
    return isinstance(value, _BYTES)


def encode(value: Any) -> tuple[bytes, bool]:
    """JSON text, and whether a NaN or an infinity was written as null.

    Raises:
        TypeError: JSON can not carry it.
    """
    text = None
    with suppress(TypeError):
        text = orjson.dumps(value, _plain, _OPTIONS)
    if text is None:
        # Numbers over 64 bits and names that are no text: orjson knows them not, JSON does.
        return _slowly(value)
    # orjson writes NaN as null without a word, so nulls of any other kind are looked at twice.
    return text, b"null" in text and _has_nan(value, 0)


def _plain(value: Any) -> Any:
    """What to write in place of a value that orjson does not know."""
    if isinstance(value, _BYTES):
        return {"$bytes": b64encode(value).decode()}
    if isinstance(value, AbstractSet | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Decimal | PurePath):
        return str(value)
    for method in ("model_dump", "tolist"):  # pydantic models; numpy and its kin
        if callable(found := getattr(value, method, None)) and not isinstance(value, type):
            return found()
    raise TypeError(f"a result of type {type(value).__qualname__} can not be written as JSON")


def _slowly(value: Any) -> tuple[bytes, bool]:
    """The same by the standard library, for values that orjson refused."""
    found: list[bool] = []
    plain = _tree(value, found, 0)
    try:
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return text.encode(), bool(found)
    except ValueError as error:  # lone surrogates, or whole numbers of over 4,300 digits
        raise TypeError(f"the result can not be written as JSON: {error}") from None


def _tree(value: Any, found: list[bool], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise TypeError(f"the result is nested more than {_MAX_DEPTH} deep, or holds itself")
    if isinstance(value, Enum):
        return _tree(value.value, found, depth)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        found.append(True)
        return None
    if isinstance(value, dict):
        return {_name(key): _tree(item, found, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tree(item, found, depth + 1) for item in value]
    with suppress(TypeError):
        return json.loads(orjson.dumps(value, option=_OPTIONS))
    return _tree(_plain(value), found, depth + 1)


def _name(key: Any) -> str:
    """The text that stands for a key of a dict."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return key
    if isinstance(key, float) and not math.isfinite(key):
        raise TypeError(f"{key!r} can not be a name in JSON")
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    text = json.loads(orjson.dumps({key: 0}, option=orjson.OPT_NON_STR_KEYS | _OPTIONS))
    return str(next(iter(text)))


def _has_nan(value: Any, depth: int) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, str | int) or value is None or depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return any(_has_nan(item, depth + 1) for item in value.values())
    if isinstance(value, list | tuple | AbstractSet):
        return any(_has_nan(item, depth + 1) for item in value)
    try:
        return _has_nan(_plain(value), depth + 1)
    except TypeError:
        return False
