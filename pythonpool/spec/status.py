"""What a PythonPool is: its status as the operator writes it and everybody reads it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pythonpool.spec.fields import Model


class Condition(Model):
    """One condition, as in Kubernetes."""

    model_config = ConfigDict(extra="ignore")

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(
        description="Ready, Progressing or Degraded."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Why, in one CamelCase word."
    )
    message: Annotated[str, Field(max_length=32768)] = Field(
        default="", description="Why, for people."
    )
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The generation of the spec that was looked at."
    )
    last_transition_time: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="When status changed last, RFC 3339.",
        json_schema_extra={"format": "date-time"},
    )


class PoolStatus(Model):
    """What a pool is. Fields of a newer release are passed over."""

    model_config = ConfigDict(extra="ignore")

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The generation of the spec that was looked at last."
    )
    replicas: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Workers that there are."
    )
    ready_replicas: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Workers that are ready."
    )
    selector: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Label selector of the workers, for the scale subresource."
    )
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            strict=False,
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = Field(default=(), description="Ready, Progressing, Degraded.")
