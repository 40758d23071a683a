"""What executors say, judged before it is used: an adapter may write to its channel itself.

A frame that breaks the rules ends that executor alone; the link, and so the neighbours' calls, must
not suffer from what is passed on. Pure.
"""

from typing import Any

import orjson

from pythonpool.messages import END_HEAD, ProtocolError

CODES = frozenset(
    (
        "invalid_argument",
        "command_not_found",
        "command_failed",
        "result_too_large",
        "out_of_memory",
        "internal",
    )
)
"""The errors that an executor may answer with; others are the agent's or the router's to say."""

PROGRESS_A_SECOND = 100.0
PROGRESS_AT_ONCE = 50.0


def must_be(holds: bool, what: str) -> None:
    """See to it that a frame has come where it may.

    Raises:
        ProtocolError: it has not; `what` says what it is.
    """
    if not holds:
        raise ProtocolError(what)


def check_error(payload: bytes) -> None:
    """The payload of an ERROR is a problem that an executor may have.

    Raises:
        ProtocolError, ValueError: it is not.
    """
    problem = _an_object(payload[END_HEAD.size :])
    code = problem.get("code")
    must_be(isinstance(code, str) and code in CODES, f"an ERROR of code {str(code)[:50]!r}")


def check_progress(payload: bytes) -> None:
    """The payload of a PROGRESS is a JSON object.

    Raises:
        ProtocolError, ValueError: it is not.
    """
    _an_object(payload)


def _an_object(text: bytes) -> dict[str, Any]:
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise ProtocolError("JSON that is no object")
    return value


class Allowance:
    """How much progress one call may still report: more is dropped, and floods no link."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._at = now
        self._left = PROGRESS_AT_ONCE

    def spend(self, now: float) -> bool:
        """Whether one more is allowed at `now`, seconds of a monotonic clock."""
        gained = (now - self._at) * PROGRESS_A_SECOND
        self._at = now
        self._left = min(self._left + gained, PROGRESS_AT_ONCE)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
