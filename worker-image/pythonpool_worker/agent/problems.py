"""Errors as the payloads of ERROR frames."""

import orjson

from pythonpool.errors import PythonPoolError
from pythonpool.messages import END_HEAD, MAX_PAYLOAD

_NOT_ON_LINKS = ("type", "title", "status")
_ROOM = MAX_PAYLOAD - END_HEAD.size
_STACK_CHARACTERS = 16_384


def error_json(error: PythonPoolError) -> bytes:
    """The problem's members as JSON that fits into one frame; a long stack is cut."""
    problem = error.to_problem()
    for name in _NOT_ON_LINKS:
        del problem[name]
    if error.stack is not None:
        problem["stack"] = error.stack[:_STACK_CHARACTERS]
    text = orjson.dumps(problem)
    if len(text) > _ROOM:
        problem.pop("stack", None)
        problem["detail"] = error.detail[:1000]
        text = orjson.dumps(problem)
    return text


def seconds_text(seconds: float) -> str:
    """`300 s`, `0.5 s`."""
    return f"{seconds:g} s"
