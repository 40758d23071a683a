"""The commands that an adapter class offers: found, checked once, described.

Every defect of an adapter is told here, when it is loaded and in one line, not at its first call.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

from pythonpool.adapter import MARK, Adapter, AdapterError, Context, Mark
from pythonpool.names import is_command_name
from pythonpool.sdk.args import ArgsReader, BytesReader, args_reader
from pythonpool.sdk.schema import result_schema

_HOOKS = ("start", "open", "close", "open_session", "close_session", "save", "load")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_OWN = frozenset({*_HOOKS, "config", "config_model", "fork"})


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an adapter class.

    Attributes:
        name: what callers write.
        description: the docstring, else empty.
        function: the function under the method; its first argument is the adapter.
        takes_context: whether the second is the `Context`.
        reader: turns a request's body into the other arguments.
        result_schema: JSON Schema of the result; `{}` when nothing is declared.
        timeout_seconds: the command's own time to run, or None.
        idempotent: whether a second run does no harm.
        streaming: whether it is a generator.
    """

    name: str
    description: str
    function: Callable[..., Any]
    takes_context: bool
    reader: ArgsReader
    result_schema: dict[str, Any]
    timeout_seconds: float | None
    idempotent: bool
    streaming: bool

    def row(self) -> dict[str, Any]:
        """The command as `GET …/commands` shows it, and `octets` beside."""
        return {
            "name": self.name,
            "description": self.description,
            "args_schema": self.reader.schema,
            "result_schema": self.result_schema,
            "timeout_seconds": self.timeout_seconds,
            "idempotent": self.idempotent,
            "streaming": self.streaming,
            "octets": isinstance(self.reader, BytesReader),
        }


def catalogue(adapter: Adapter) -> list[dict[str, Any]]:
    """The rows of all commands of an adapter, in the order of their definition."""
    return [command.row() for command in commands_of(type(adapter)).values()]


_KNOWN: dict[type[Adapter], dict[str, Command]] = {}


def commands_of(cls: type[Adapter]) -> dict[str, Command]:
    """All commands of an adapter class by name; made once a class.

    Raises:
        AdapterError: the class breaks a rule of adapters; the first one is told.
    """
    if cls in _KNOWN:
        return _KNOWN[cls]
    _check_hooks(cls)
    commands: dict[str, Command] = {}
    for attribute, mark in _marked(cls):
        command = _command(cls, attribute, mark)
        if command.name in commands:
            raise AdapterError(f'{cls.__name__} offers the command "{command.name}" twice')
        commands[command.name] = command
    _KNOWN[cls] = commands
    return commands


def _marked(cls: type[Adapter]) -> Iterator[tuple[str, Mark]]:
    """Marked attributes, base classes first; a subclass that overrides one keeps its mark."""
    marks: dict[str, Mark] = {}
    for klass in reversed(cls.__mro__):
        for attribute, value in vars(klass).items():
            mark = getattr(value, MARK, None) or getattr(
                getattr(value, "__func__", None), MARK, None
            )
            if isinstance(mark, Mark):
                marks[attribute] = mark
    yield from marks.items()


def _check_hooks(cls: type[Adapter]) -> None:
    for hook in _HOOKS:
        function = getattr(cls, hook)
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise AdapterError(f"{cls.__name__}.{hook} must be a plain method, not async")
    saves, loads = (getattr(cls, name) is not getattr(Adapter, name) for name in ("save", "load"))
    if saves != loads:
        has, lacks = ("save", "load") if saves else ("load", "save")
        raise AdapterError(f"{cls.__name__} has {has} but no {lacks}; it must have both or none")


def _command(cls: type[Adapter], attribute: str, mark: Mark) -> Command:
    where = f"{cls.__name__}.{attribute}"
    name = attribute if mark.name is None else mark.name
    function = inspect.getattr_static(cls, attribute)
    if not inspect.isfunction(function):
        raise AdapterError(f"command {where} must be a plain method")
    if attribute in _OWN:
        raise AdapterError(
            f'command {where} must not have the name of a hook; use @command(name="{name}") '
            "on a method of another name"
        )
    if not isinstance(name, str) or not is_command_name(name):
        raise AdapterError(f'the name "{name}" of {where} must match ^[a-z][a-z0-9_.-]{{0,63}}$')
    timeout = mark.timeout_seconds
    if timeout is not None and not (isinstance(timeout, int | float) and 0 < timeout <= 86400):
        raise AdapterError(f"timeout_seconds {timeout!r} of {where} must be 0 < t <= 86400")
    hints = _hints(where, function)
    takes_context, parameters, reserved = _parameters(where, function, hints)
    streaming = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return Command(
        name=name,
        description=inspect.getdoc(function) or "",
        function=function,
        takes_context=takes_context,
        reader=_reader(where, name, parameters, reserved),
        result_schema=result_schema(hints.get("return", Any), streaming),
        timeout_seconds=timeout,
        idempotent=bool(mark.idempotent),
        streaming=streaming,
    )


def _hints(where: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:  # annotations are any expressions at all
        raise AdapterError(f"the types of {where} can not be read: {error}") from error


def _parameters(
    where: str, function: Callable[..., Any], hints: dict[str, Any]
) -> tuple[bool, list[inspect.Parameter], frozenset[str]]:
    """Whether it takes the context; the parameters that are args, with resolved types; and the
    names that no arg can have because the parameters before them do.
    """
    given = list(inspect.signature(function).parameters.values())
    if not given or given[0].kind not in _POSITIONAL:
        raise AdapterError(f"command {where} must be a method: its first parameter is self")
    parameters = [p.replace(annotation=hints.get(p.name, p.empty)) for p in given[1:]]
    takes_context = bool(parameters) and (
        parameters[0].annotation is Context
        or (parameters[0].name == "context" and parameters[0].annotation is inspect.Parameter.empty)
    )
    args = parameters[1:] if takes_context else parameters
    for parameter in args:
        _check_parameter(where, parameter)
    before = given[: 2 if takes_context else 1]
    return takes_context, args, frozenset(p.name for p in before if p.kind is not _POSITIONAL[0])


def _check_parameter(where: str, parameter: inspect.Parameter) -> None:
    name = parameter.name
    if parameter.annotation is parameter.empty:
        raise AdapterError(f'parameter "{name}" of {where} must have a type')
    if parameter.annotation is Context:
        raise AdapterError(f'parameter "{name}" of {where} must be the first: it is the Context')
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
        raise AdapterError(f'parameter "{name}" of {where} must be given by name, not by position')
    if parameter.kind is parameter.VAR_KEYWORD and parameter.annotation is not Any:
        raise AdapterError(f'"**{name}" of {where} must be of type Any: it takes any names')


def _reader(
    where: str, name: str, parameters: list[inspect.Parameter], reserved: frozenset[str]
) -> ArgsReader:
    octets = [p for p in parameters if p.annotation is bytes]
    if octets and len(parameters) > 1:
        raise AdapterError(
            f'parameter "{octets[0].name}" of {where} must be the only one: '
            "bytes take the whole body"
        )
    try:
        return args_reader(name, parameters, reserved)
    except Exception as error:  # pydantic's own words about a type it can not check
        first = str(error).splitlines()[0]
        raise AdapterError(f"the args of {where} can not be checked: {first}") from error
