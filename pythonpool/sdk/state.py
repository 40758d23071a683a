"""The state of a session as JSON: what goes in comes out the same, or is refused.

Stricter than results, which are for people to read: here a set or a date that came back as a list
or a text would be another state. Only tuples come back as lists.
"""

import json
from typing import Any

import orjson

_PLAIN = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def encode_state(state: dict[str, Any]) -> bytes:
    """The state as JSON text that `json.loads` takes; NaN and infinities are kept.

    Raises:
        TypeError: a value that JSON does not have, or a key that is not text.
    """
    try:
        text = orjson.dumps(state, option=_PLAIN)
    except TypeError:
        _check_keys(state)
        return json.dumps(state).encode()
    # orjson writes NaN as null without a word; json keeps it.
    return json.dumps(state).encode() if b"null" in text else text


def _check_keys(value: Any) -> None:
    """json.dumps would turn 1 and True into text."""
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key of a session's state must be text, not {key!r:.100}")
            _check_keys(below)
    elif isinstance(value, list | tuple):
        for below in value:
            _check_keys(below)
