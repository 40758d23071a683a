"""The body of a request to the arguments of a command, strictly as API.md section 2 says.

Made once for each command at load; one pass over the body by pydantic's own JSON reader, which is
strict and keeps whole numbers exact. What it lets through beyond RFC 8259 and the depth (NaN, an
overflow to infinity, a 201st level) needs rare bytes in the body, and only then is looked for.
"""

import difflib
import inspect
import re
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from pythonpool.errors import InvalidArgument
from pythonpool.sdk.schema import args_validator, bytes_schema

MAX_DEPTH = 200
"""How deep args may be nested; the args object is 1."""

_MAX_SHOWN = 5
_EMPTY = re.compile(rb"\[\s*\]|\{\s*\}")
_HUGE = re.compile(rb"[0-9][eE]\+?[0-9]{3}")
_LONG = re.compile(rb"[0-9]{309}")
_MUST = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "none_required": "must be null",
}


class ArgsReader(Protocol):
    """What a command has for its args."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the args."""
        ...

    def read(self, body: bytes) -> dict[str, Any]:
        """The keyword arguments that `body` spells.

        Raises:
            InvalidArgument: they do not fit; the field, its value and what it must be.
        """
        ...


def args_reader(
    command: str, parameters: list[inspect.Parameter], reserved: frozenset[str] = frozenset()
) -> ArgsReader:
    """The reader for parameters whose types are resolved; no arg can have a `reserved` name."""
    if [p.annotation for p in parameters] == [bytes]:
        return BytesReader(parameters[0].name)
    if [p.kind for p in parameters] == [inspect.Parameter.VAR_KEYWORD]:
        return AnyReader(command, reserved)
    return JsonReader(command, parameters, reserved)


class BytesReader:
    """One argument of type `bytes`: the body as it is."""

    def __init__(self, parameter: str) -> None:
        self._parameter = parameter
        self.schema = bytes_schema()

    def read(self, body: bytes) -> dict[str, Any]:
        """The whole body under the parameter's name; never fails."""
        return {self._parameter: body}


class AnyReader:
    """`**args: Any`: an object with any names."""

    def __init__(self, command: str, reserved: frozenset[str]) -> None:
        self._command = command
        self._reserved = reserved
        self.schema: dict[str, Any] = {"type": "object", "additionalProperties": True}

    def read(self, body: bytes) -> dict[str, Any]:
        """See `ArgsReader.read`."""
        if not body:
            return {}
        args = _parse(self._command, body)
        if not isinstance(args, dict):
            raise InvalidArgument(_no_object(self._command, args))
        _refuse_reserved(self._command, args, self._reserved)
        return args


class JsonReader:
    """Named arguments with types."""

    def __init__(
        self, command: str, parameters: list[inspect.Parameter], reserved: frozenset[str]
    ) -> None:
        self._command = command
        self._reserved = reserved
        self._names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        self._validator, self.schema = args_validator(command, parameters)

    def read(self, body: bytes) -> dict[str, Any]:
        """See `ArgsReader.read`."""
        if not body:
            body = b"{}"
        if is_suspicious(body):
            _parse(self._command, body)
        try:
            args: dict[str, Any] = self._validator.validate_json(body, strict=True)
        except ValidationError as error:
            raise InvalidArgument(self._explain(error, body)) from None
        _refuse_reserved(self._command, args, self._reserved)
        return args

    def _explain(self, error: ValidationError, body: bytes) -> str:
        problems = error.errors(include_url=False, include_context=True)
        if problems[0]["type"] == "json_invalid":
            return _no_json(self._command, str(problems[0].get("ctx", {}).get("error", "")))
        if not problems[0]["loc"]:
            return _no_object(self._command, problems[0]["input"])
        args = from_json(body)
        found: dict[str, list[str]] = {}
        for problem in problems:
            place, text = self._line(problem, args)
            texts = found.setdefault(place, [])
            if text not in texts:
                texts.append(text)
        lines = [f"{place} {' or '.join(texts)}" for place, texts in found.items()]
        more = f"; and {len(lines) - _MAX_SHOWN} more" if len(lines) > _MAX_SHOWN else ""
        return f"{self._command}: " + "; ".join(lines[:_MAX_SHOWN]) + more

    def _line(self, problem: Any, args: Any) -> tuple[str, str]:
        """Where, and what is wrong there."""
        kind = problem["type"]
        location = _within(args, problem["loc"])
        if kind == "missing":
            return ".".join([*location, str(problem["loc"][-1])])[:200], "is missing"
        place = ".".join(location)[:200]
        if kind in ("extra_forbidden", "unexpected_keyword_argument"):
            return place, f"is not known{self._hint(problem['loc'])}"
        must = _MUST.get(kind) or _sentence(problem["msg"])
        return f"{place} {show(problem['input'])}", must

    def _hint(self, location: tuple[Any, ...]) -> str:
        if len(location) != 1:
            return ""
        near = difflib.get_close_matches(str(location[0]), self._names, 1)
        if near:
            return f', did you mean "{near[0]}"?'
        return f"; it takes {', '.join(self._names) or 'no args'}"


def is_suspicious(body: bytes) -> bool:
    """Whether the body holds what pydantic's reader might let through and we do not."""
    return (
        b"NaN" in body
        or b"Infinity" in body
        or (body.count(b"[") + body.count(b"{") > MAX_DEPTH and _EMPTY.search(body) is not None)
        or _HUGE.search(body) is not None
        or (len(body) > 309 and _LONG.search(body) is not None)
    )


def _within(args: Any, location: tuple[Any, ...]) -> list[str]:
    """The parts of a location that are names and places in `args`; the rest are pydantic's own."""
    parts: list[str] = []
    for part in location:
        if (isinstance(args, dict) and part in args) or (
            isinstance(args, list) and isinstance(part, int) and part < len(args)
        ):
            args = args[part]
            parts.append(str(part))
    return parts


def _refuse_reserved(command: str, args: dict[str, Any], reserved: frozenset[str]) -> None:
    for name in reserved:
        if name in args:
            raise InvalidArgument(f"{command}: {name} is not known; no arg can have this name")


def show(value: Any) -> str:
    """A value of JSON in one line of at most 80 characters."""
    text = to_json(value, fallback=repr, inf_nan_mode="constants").decode()
    return text if len(text) <= 80 else text[:77] + "..."


def _parse(command: str, body: bytes) -> Any:
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidArgument(_no_json(command, str(error))) from None
    if is_suspicious(body):
        _walk(command, value)
    return value


def _walk(command: str, value: Any) -> None:
    level = [value]
    depth = 0
    while level:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, float) and item in (float("inf"), float("-inf")):
                raise InvalidArgument(_no_json(command, "a number is too large for a float"))
        if depth > MAX_DEPTH and any(isinstance(item, dict | list) for item in level):
            raise InvalidArgument(_no_json(command, "recursion limit exceeded"))
        level = below


def _no_json(command: str, why: str) -> str:
    if "recursion limit" in why:
        return f"{command}: args must be nested at most {MAX_DEPTH} deep"
    return f"{command}: args must be JSON (RFC 8259, UTF-8): {why}"


def _no_object(command: str, value: Any) -> str:
    return f'{command}: args must be a JSON object such as {{"name": "value"}}, not {show(value)}'


def _sentence(message: str) -> str:
    text = " ".join(message.split()).removeprefix("Value error, ")
    if text.startswith("Input should be "):
        return "must be " + text.removeprefix("Input should be ")
    return f"is not valid: {text[:1].lower()}{text[1:]}"
