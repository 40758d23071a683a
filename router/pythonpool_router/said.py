"""What workers say, judged before it is used: a worker that lies may harm its own pool alone. Pure.

Every reader here raises ValueError (or KeyError, TypeError) for what is not as the protocol has
it, and the link that it came over is closed.
"""

import math
from typing import Any

import orjson

from pythonpool import names
from pythonpool.errors import PythonPoolError
from pythonpool.messages import ProtocolError
from pythonpool.names import SessionHandle
from pythonpool_router.settings import Errors

MAX_SLOTS = 256
MAX_COMMANDS = 1000
MAX_TOTALS = 512
"""Causes of exits and reasons of session ends that are told apart, in a worker and in a pool."""

_MAX_NUMBER = 2**53
_MAX_WORD = 64
_STATES = ("starting", "ready", "draining", "failed")
_TEXTS = ("suggestion", "cause", "stack")
_NUMBERS = ("retry_after_ms", "limit_bytes", "peak_bytes")

Catalogue = dict[str, dict[str, Any]]


def first(payload: bytes) -> int:
    """Its first byte.

    Raises:
        ProtocolError: it is empty.
    """
    if not payload:
        raise ProtocolError("it is empty")
    return payload[0]


def in_order(holds: bool, number: int) -> None:
    """See to it that a frame of call `number` has come where it may.

    Raises:
        ProtocolError: it has not.
    """
    if not holds:
        raise ProtocolError(f"out of order for call {number}")


def an_object(payload: bytes) -> dict[str, Any]:
    """The JSON object that `payload` spells.

    Raises:
        ValueError, TypeError: it is none.
    """
    value = orjson.loads(payload)
    if not isinstance(value, dict):
        raise TypeError("it is not an object")
    return value


def number(value: Any, least: int = 0, most: int = _MAX_NUMBER) -> int:
    """A whole number within bounds.

    Raises:
        TypeError, ValueError: it is none, or outside.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{_shown(value)} is not a whole number")
    if not least <= value <= most:
        raise ValueError(f"{value} is not from {least} to {most}")
    return value


def state(value: Any) -> str:
    """A worker's state.

    Raises:
        ValueError: there is no such state.
    """
    if value not in _STATES:
        raise ValueError(f"the state {_shown(value)} of a worker")
    return str(value)


def word(value: Any) -> str:
    """One word, or none.

    Raises:
        ValueError: it is no text, or too long.
    """
    if not isinstance(value, str) or len(value) > _MAX_WORD:
        raise ValueError(f"the word {_shown(value)}")
    return value


def moment(value: Any) -> float | str:
    """A time as text or as seconds since 1970.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and len(value) <= _MAX_WORD:
        return value
    if isinstance(value, int | float) and 0 <= value < 2**33:
        return value
    raise ValueError(f"the time {_shown(value)}")


def totals(value: Any) -> dict[str, int]:
    """Words and how often each came; empty for None.

    Raises:
        TypeError, ValueError: it is no such object, or has too many words or too long ones.
    """
    if value is None:
        return {}
    if (
        not isinstance(value, dict)
        or len(value) > MAX_TOTALS
        or max(map(len, value), default=0) > _MAX_WORD
    ):
        raise ValueError(f"the totals {_shown(value)}")
    return {key: number(total) for key, total in value.items()}


def add_growth(sums: dict[str, int], before: dict[str, int], now: dict[str, int]) -> None:
    """Add to `sums` what has grown; words beyond the first MAX_TOTALS count as `other`."""
    for key, total in now.items():
        growth = total - before.get(key, 0)
        if growth > 0:
            word = key if key in sums or len(sums) < MAX_TOTALS else "other"
            sums[word] = sums.get(word, 0) + growth


def catalogue_of(rows: Any) -> Catalogue:
    """A worker's catalogue by command name.

    Raises:
        KeyError, TypeError, ValueError: it, or one of its rows, is not what it must be.
    """
    if not isinstance(rows, list) or len(rows) > MAX_COMMANDS:
        raise ValueError("the catalogue is no list, or too long")
    for row in rows:
        if not isinstance(row, dict) or not names.is_command_name(row["name"]):
            raise ValueError(f"the row {_shown(row)} of the catalogue")
        seconds = row.get("timeout_seconds")
        if seconds is not None and not (
            isinstance(seconds, int | float) and seconds > 0 and math.isfinite(seconds)
        ):
            raise ValueError(f"timeout_seconds {_shown(seconds)} of {row['name']}")
    return {row["name"]: row for row in rows}


def problem(payload: bytes, worker: str, errors: Errors = "Full") -> PythonPoolError:
    """The error that a worker answers with; members of a wrong kind are left out.

    With `Message` the traceback is left out, too: it shows source text and values that its caller
    may not be meant to see. The stack of a killed call stays: it has names and lines alone.

    Raises:
        ValueError, TypeError: it is no object.
    """
    told = an_object(payload)
    kept = {"code": told.get("code"), "outcome": told.get("outcome")}
    if told.get("worker") is not None:
        kept["worker"] = worker
    if isinstance(told.get("detail"), str):
        kept["detail"] = told["detail"]
    kept |= {name: told[name] for name in _TEXTS if isinstance(told.get(name), str)}
    kept |= {name: told[name] for name in _NUMBERS if _is_count(told.get(name))}
    exception = told.get("exception")
    if isinstance(exception, dict) and all(isinstance(each, str) for each in exception.values()):
        kept["exception"] = {
            name: text
            for name, text in exception.items()
            if errors == "Full" or name != "traceback"
        }
    return PythonPoolError.from_problem(kept)


def session(value: Any, pool: str, worker: str, incarnation: str) -> dict[str, Any]:
    """The session object of a session that this life of the worker holds.

    Raises:
        ValueError: it is none: another pool's, another worker's, or nobody's.
    """
    text = value.get("session_id") if isinstance(value, dict) else None
    handle = SessionHandle.parse(text) if isinstance(text, str) else None
    mine = (pool, worker, incarnation)
    if handle is None or (handle.pool, handle.worker, handle.incarnation) != mine:
        raise ValueError(f"{_shown(value)} is no session of {worker}")
    found: dict[str, Any] = value
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER


def _shown(value: Any) -> str:
    return repr(value)[:100]
