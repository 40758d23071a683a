"""Quantities as in Kubernetes: `512Mi`, `1.5Gi`, `100m`. Pure arithmetic on text and whole numbers.

A value keeps two faces: the number that pythonpool reckons with, and the canonical text that
Kubernetes would show, so that what is applied and what is live compare equal.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

MAX_TEXT = 32

_QUANTITY = re.compile(
    r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,2}))?\Z",
    re.ASCII,
)
_BINARY = {f"{letter}i": 10 * (step + 1) for step, letter in enumerate("KMGTPE")}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def _ten_to(power: int) -> int:
    return int("1" + "0" * power)


@dataclass(frozen=True, slots=True)
class _Amount:
    """A number as `digits * 10**power * 2**shift`."""

    digits: int
    power: int
    shift: int
    is_binary: bool

    def rounded_up(self, extra_power: int = 0) -> int:
        """The amount times 10**extra_power, up to the next whole number, as Kubernetes does."""
        power = self.power + extra_power
        top = (self.digits << self.shift) * _ten_to(max(power, 0))
        return -(-top // _ten_to(max(-power, 0)))


def _amount(text: str) -> _Amount:
    match = _QUANTITY.match(text) if len(text) <= MAX_TEXT else None
    if match is None or not (match["whole"] or match["part"]):
        raise ValueError(f"{text!r} must be a quantity such as 512Mi, 1.5Gi or 100m")
    part, suffix = match["part"] or "", match["suffix"] or ""
    power = _DECIMAL.get(suffix, 0) + int(match["exponent"] or 0) - len(part)
    digits = int((match["whole"] or "") + part)
    return _Amount(digits, power, _BINARY.get(suffix, 0), suffix in _BINARY)


def _canonical(number: int, is_binary: bool) -> str:
    """The largest suffix that leaves a whole number."""
    step, suffixes = (1024, "KMGTPE") if is_binary else (1000, "kMGTPE")
    level = 0
    while number and number % step == 0 and level < len(suffixes):
        number //= step
        level += 1
    return f"{number}{suffixes[level - 1]}{'i' if is_binary else ''}" if level else str(number)


def _pydantic_schema(cls: Any, must: str) -> "CoreSchema":
    """One schema for both kinds: text or a whole number in, canonical text out."""
    from pydantic_core import PydanticCustomError, core_schema

    def read(value: object) -> Any:
        if isinstance(value, cls):
            return value
        try:
            if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
                return cls.parse(value)
        except ValueError:
            pass
        raise PydanticCustomError("must", "must be {must}", {"must": must})

    return core_schema.no_info_plain_validator_function(
        read, serialization=core_schema.to_string_ser_schema()
    )


@dataclass(frozen=True, slots=True)
class Memory:
    """An amount of memory.

    Attributes:
        text: as Kubernetes writes it, e.g. `1Gi` for `1024Mi`.
        bytes: whole bytes, rounded up.
    """

    MUST: ClassVar[str] = "a quantity of bytes such as 512Mi or 4Gi"

    text: str
    bytes: int

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """Read `512Mi`, `1.5Gi`, `1e9` or a whole number of bytes. ValueError for the rest."""
        amount = _amount(str(value))
        number = amount.rounded_up()
        return cls(_canonical(number, amount.is_binary), number)

    @property
    def number(self) -> int:
        """What bounds are compared by: bytes."""
        return self.bytes

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        return _pydantic_schema(cls, cls.MUST)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> dict[str, Any]:
        return int_or_string_schema(cls.MUST)


@dataclass(frozen=True, slots=True)
class Cpu:
    """An amount of processor time per time.

    Attributes:
        text: as Kubernetes writes it, e.g. `1` for `1000m`.
        millis: thousandths of a core, rounded up.
    """

    MUST: ClassVar[str] = 'a quantity of cores such as 100m or "2"'

    text: str
    millis: int

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """Read `100m`, `1.5` or a whole number of cores. ValueError for the rest."""
        millis = _amount(str(value)).rounded_up(extra_power=3)
        return cls(str(millis // 1000) if millis % 1000 == 0 else f"{millis}m", millis)

    @property
    def cores(self) -> float:
        """Cores, with fractions."""
        return self.millis / 1000

    @property
    def number(self) -> int:
        """What bounds are compared by: thousandths of a core."""
        return self.millis

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        return _pydantic_schema(cls, cls.MUST)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> dict[str, Any]:
        return int_or_string_schema(cls.MUST)


def int_or_string_schema(must: str) -> dict[str, Any]:
    """A quantity in a CRD: a whole number or text that Kubernetes can read."""
    rule = quantity_rule("isQuantity(string(self))", f"must be {must}")
    return {
        "x-kubernetes-int-or-string": True,
        "maxLength": MAX_TEXT,
        "x-kubernetes-validations": [rule],
    }


def quantity_rule(cel: str, words: str) -> dict[str, str]:
    """A rule about a quantity, in CEL; what is said of a wrong one begins with its value."""
    return {
        "rule": cel,
        "message": words,
        "messageExpression": f"'is %s, {words}'.format([string(self)])",
    }
