"""What all parts of the PythonPool models stand on: the base model, its rules, its kinds of text.

Every pattern has words beside it, because people are told words and never a pattern.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from pythonpool.spec.quantities import Cpu, Memory, quantity_rule

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

MAX_FREE_BYTES = 16 * 1024

# How lists are merged by server-side apply.
ATOMIC = {"x-kubernetes-list-type": "atomic"}
BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}

POOL_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
COMMAND_NAME = r"^[a-z][a-z0-9_.-]{0,63}$"
DNS_NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
ADAPTER = r"^[A-Za-z_][A-Za-z0-9_.-]*(:[A-Za-z_][A-Za-z0-9_]*)?$"
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
OPERATION = r"^[a-z0-9_.*?\[\]!-]+$"
QUALIFIED = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"
SECRET_KEY = r"^[A-Za-z0-9_.-]+$"  # noqa: S105 - a pattern
NO_SPACE = r"^[^\s]+$"
ABSOLUTE = r"^/[^\x00:]*$"

PATTERN_WORDS = {
    POOL_NAME: "a DNS label (a-z, 0-9, -) of at most 40 characters",
    COMMAND_NAME: "a command's name: a-z first, then a-z, 0-9, _ . - and at most 64 characters",
    DNS_NAME: "a DNS name (a-z, 0-9, - and .)",
    ADAPTER: "an adapter's entry point or module:Class",
    ENV_NAME: "the name of an environment variable: letters, digits and _, no digit first",
    OPERATION: "a glob over command names (a-z, 0-9, _ . - and * ? [ ])",
    QUALIFIED: "a Kubernetes name such as app or example.com/app",
    LABEL_VALUE: "a label's value: letters, digits, - _ . and at most 63 characters",
    SECRET_KEY: "a key: letters, digits, - _ .",
    NO_SPACE: "text without spaces",
    ABSOLUTE: "an absolute path without :",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that fields of a model must agree on, the same locally and in the API server.

    Attributes:
        field: the field that is named, as on the wire; relative to the model.
        holds: the rule in Python, on a valid model.
        cel: the rule in CEL; empty where the API server can not see it.
        words: what follows the field's name; `{fieldName}` stands for the value of that field.
    """

    field: str
    holds: Callable[[Any], bool]
    cel: str
    words: str

    def to_kubernetes(self) -> dict[str, Any]:
        """The entry of `x-kubernetes-validations`, in the very words of the local mistake."""
        entry: dict[str, Any] = {"rule": self.cel, "message": f"{self.field} {self.words}"}
        named = _PLACEHOLDER.findall(self.words)
        if named:
            text = _PLACEHOLDER.sub("%s", entry["message"])
            values = ", ".join(f"self.{name}" for name in named)
            entry["message"] = f"{self.field} {self.words.partition(', ')[2].split(' (')[0]}"
            entry["messageExpression"] = f"'{text}'.format([{values}])"
        return entry | {"fieldPath": f".{self.field}"}


class Model(BaseModel):
    """A frozen part of a PythonPool: camelCase on the wire, no unknown fields, no conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", strict=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _absent_for_null(cls, data: Any) -> Any:
        """As the API server does: a null is a field that was not given."""
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        raise_broken(
            (rule.field, rule.words.format_map(self._wire_values()))
            for rule in self.rules
            if not rule.holds(self)
        )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler", /
    ) -> dict[str, Any]:
        found = handler.resolve_ref_schema(handler(schema))
        validations = [rule.to_kubernetes() for rule in cls.rules if rule.cel]
        if validations:
            found["x-kubernetes-validations"] = validations
        return found

    def _wire_values(self) -> dict[str, Any]:
        fields = type(self).model_fields
        return {field.alias or name: getattr(self, name) for name, field in fields.items()}


def raise_broken(broken: Iterable[tuple[str, str]]) -> None:
    """Raise one error that carries every (relative field, words) of `broken`, if there is any."""
    found = list(broken)
    if found:
        first = " ".join(found[0])
        raise PydanticCustomError("rules", "{first}", {"first": first, "broken": found})


def must(value_fits: bool, words: str) -> None:
    """Raise `… must be {words}` for the field at hand unless `value_fits`."""
    if not value_fits:
        raise PydanticCustomError("must", "must be {must}", {"must": words})


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a quantity, both included, as Kubernetes text; None: no lower bound but zero."""

    least: str
    most: str

    def check(self, value: Memory | Cpu) -> Memory | Cpu:
        """Return `value` when it is within the bounds; they are read in its own unit."""
        kind = type(value)
        low, high = kind.parse(self.least).number, kind.parse(self.most).number
        must(low <= value.number <= high, f"from {self.least} to {self.most}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> dict[str, Any]:
        found: dict[str, Any] = dict(handler(schema))
        within = (
            f"!isQuantity(string(self)) || "
            f"(quantity(string(self)).compareTo(quantity('{self.least}')) >= 0 && "
            f"quantity(string(self)).compareTo(quantity('{self.most}')) <= 0)"
        )
        words = f"must be from {self.least} to {self.most}"
        found["x-kubernetes-validations"] = [
            *found["x-kubernetes-validations"],
            quantity_rule(within, words),
        ]
        return found


def _free(value: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError):
        must(False, "an object that JSON can carry")
    else:
        must(size <= MAX_FREE_BYTES, f"at most 16 KiB as JSON (it is {size} bytes)")
    return value


def _distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    seen: set[Any] = set()
    broken = []
    for index, item in enumerate(items):
        name = getattr(item, "name", item)
        if name in seen:
            where = f"[{index}]" if name is item else f"[{index}].name"
            broken.append((where, f'is "{name}", must be given once'))
        seen.add(name)
    raise_broken(broken)
    return items


Free = Annotated[
    dict[str, Any],
    AfterValidator(_free),
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
Distinct = AfterValidator(_distinct)
DnsName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]
CommandName = Annotated[str, Field(min_length=1, max_length=64, pattern=COMMAND_NAME)]
Operation = Annotated[str, Field(min_length=1, max_length=64, pattern=OPERATION)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=QUALIFIED)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Annotations = Annotated[
    dict[LabelKey, Annotated[str, Field(max_length=4096)]], Field(max_length=64)
]
