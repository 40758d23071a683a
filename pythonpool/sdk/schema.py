"""From type hints to what pydantic checks by and to JSON Schema; done once, at load.

The rules of API.md section 2 are stricter than pydantic in places and milder in one, and they hold
at any depth, also in models of the user's own: no unknown names, and an int takes 1.0.
"""

import collections.abc
import inspect
import re
import types
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import SchemaValidator, core_schema, to_jsonable_python
from typing_extensions import TypedDict

_GENERATORS = (
    collections.abc.Generator,
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
)
_CONFIG = core_schema.CoreConfig(allow_inf_nan=False)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,99})")
_FIELDS = {"model-fields", "typed-dict", "dataclass-args"}
_OCTETS = {"type": "string", "contentMediaType": "application/octet-stream"}


def args_validator(
    name: str, parameters: list[inspect.Parameter]
) -> tuple[SchemaValidator, dict[str, Any]]:
    """What checks the args of command `name`, and their JSON Schema.

    Raises:
        Exception: pydantic's own, when a type is none that it can check.
    """
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    fields = {p.name: _field(p) for p in named}
    shape = TypedDict(name, fields)  # type: ignore[misc]  # made at run time
    any_names = len(named) < len(parameters)
    config = ConfigDict(extra="allow" if any_names else "forbid")
    setattr(shape, "__pydantic_config__", config)  # noqa: B010  # mypy takes it for a TypedDict
    adapter: TypeAdapter[Any] = TypeAdapter(shape)
    schema = adapter.json_schema()
    schema.pop("title", None)
    schema.setdefault("properties", {})
    for p in named:
        if p.default is not p.empty:
            schema["properties"][p.name]["default"] = to_jsonable_python(p.default, fallback=repr)
    # Else pydantic puts its own finished validator, without our rules, in place of each model.
    return SchemaValidator(strict(adapter.core_schema), _CONFIG, _use_prebuilt=False), schema


def bytes_schema() -> dict[str, Any]:
    """JSON Schema of a body, or a result, that is bytes."""
    return dict(_OCTETS)


def result_schema(annotation: Any, streaming: bool) -> dict[str, Any]:
    """JSON Schema of what a command returns; `{}` where its type says nothing.

    The result of a generator is the list of what it yields.
    """
    if streaming:
        given = get_args(annotation) if get_origin(annotation) in _GENERATORS else ()
        return {"type": "array", "items": result_schema(given[0] if given else Any, False)}
    if annotation in (bytes, bytearray, memoryview):
        return bytes_schema()
    if annotation is Any or annotation is inspect.Parameter.empty:
        return {}
    try:
        return TypeAdapter(annotation).json_schema(mode="serialization")
    except Exception:  # noqa: BLE001  # results are not checked, so any type may stand there
        return {}


def strict(schema: Any) -> Any:
    """The same core schema with the rules of the module docstring at every depth."""
    if isinstance(schema, list | tuple):
        return type(schema)(strict(item) for item in schema)
    if not isinstance(schema, dict):
        return schema
    made = {
        key: value if key in ("metadata", "config", "default", "expected", "ref") else strict(value)
        for key, value in schema.items()
    }
    kind = made.get("type")
    if kind in _FIELDS and "extra_behavior" not in made:
        made["extra_behavior"] = (made.get("config") or {}).get("extra_fields_behavior", "forbid")
    if kind == "model":
        _close(made)
    if kind == "dict" and schema.get("keys_schema", {}).get("type") == "int":
        made["keys_schema"] = core_schema.no_info_before_validator_function(
            _whole_key, schema["keys_schema"]
        )
    if kind == "int" and not made.get("strict"):
        return core_schema.no_info_before_validator_function(whole, made)
    return made


def whole(value: Any) -> Any:
    """1.0 is the whole number 1: JSON has one kind of number."""
    return int(value) if type(value) is float and value.is_integer() else value


def _whole_key(key: Any) -> Any:
    """The names of a JSON object are text, also where a dict has whole numbers as keys."""
    return int(key) if _WHOLE.fullmatch(key) else key


def _close(model: dict[str, Any]) -> None:
    """Where a model's own config says something about unknown names, it is left as it is."""
    behavior = (model.get("config") or {}).get("extra_fields_behavior")
    if behavior is None:
        return
    inner = model["schema"]
    while isinstance(inner, dict):
        if inner.get("type") == "model-fields":
            inner["extra_behavior"] = behavior
        inner = inner.get("schema")


def _field(parameter: inspect.Parameter) -> Any:
    if parameter.default is parameter.empty:
        return Required[parameter.annotation]
    annotation = parameter.annotation
    if parameter.default is None and not _takes_none(annotation):
        annotation = Union[annotation, None]  # noqa: UP007  # also what `|` does not take
    return NotRequired[annotation]


def _takes_none(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _takes_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_takes_none(option) for option in get_args(annotation))
    return annotation is None or annotation is type(None) or annotation is Any
