"""What schemathesis must not send: it would be right to be refused, or to be killed in time."""

from typing import Any

import schemathesis

_LEAST_TIMEOUT_SECONDS = 5


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """JSON Schema can say how large a number is, not how it is written: 1e-63 is no decimal.

    Nor can it say that a command with a millisecond to run is killed, and its caller told by 504.
    """
    query = case.query
    for name, value in list((query or {}).items()):
        number = _number(value)
        if 0 < number < 1e-4:
            query[name] = "0"
        if name == "timeout" and 0.001 <= number < _LEAST_TIMEOUT_SECONDS:
            query[name] = str(_LEAST_TIMEOUT_SECONDS)


def _number(value: Any) -> float:
    """The number that stands in a query, -1 for what is none."""
    try:
        return float(str(value))
    except ValueError:
        return -1.0
