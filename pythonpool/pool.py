"""The PythonPool resource: every field, default, bound and unit of it (API.md 1).

The one source of the CRD, of what `up` and `validate` accept and of what they say. Fields are
camelCase on the wire and snake_case here; a model that exists is valid.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from pythonpool.errors import InvalidArgument
from pythonpool.spec.fields import (
    ADAPTER,
    ATOMIC,
    BY_NAME,
    POOL_NAME,
    Distinct,
    DnsName,
    Free,
    Labels,
    Model,
    Operation,
    Rule,
)
from pythonpool.spec.mistakes import lines
from pythonpool.spec.podfields import Egress, EnvVar, Gpu, Pod
from pythonpool.spec.specparts import (
    HealthCheck,
    Local,
    PerCaller,
    Queue,
    Recycle,
    Replicas,
    Resources,
    Results,
    Scaling,
    Sessions,
    Warmup,
)
from pythonpool.spec.status import PoolStatus


def _selectors_agree(spec: "PoolSpec") -> bool:
    ours = (spec.gpu.node_selector if spec.gpu else None) or {}
    theirs = (spec.pod.node_selector if spec.pod else None) or {}
    return all(theirs.get(key, value) == value for key, value in ours.items())


class PoolSpec(Model):
    """What a pool should be."""

    adapter: Annotated[str, Field(min_length=1, max_length=253, pattern=ADAPTER)] = Field(
        description="An entry point of group pythonpool.adapters, or module:Class."
    )
    config: Free | None = Field(
        default=None, description="What the adapter is given; at most 16 KiB as JSON, no secrets."
    )
    replicas: Replicas = Field(default=1, description="Workers. Not together with scaling.")
    concurrency: int = Field(default=1, ge=1, le=256, description="Slots of each worker.")
    isolation: Literal["process", "thread"] = Field(
        default="process",
        description="process: an executor per slot, killed alone. thread: one for all slots.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Memory and processor of one worker."
    )
    gpu: Gpu | None = Field(default=None, description="GPUs of each worker; default: none.")
    timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=86400,
        description="Seconds that a call may run when neither caller nor command says.",
    )
    max_timeout_seconds: int = Field(
        default=3600, ge=1, le=86400, description="The most seconds that a caller may ask for."
    )
    health_check: HealthCheck = Field(
        default_factory=HealthCheck, description="How the health of workers is judged."
    )
    queue: Queue = Field(default_factory=Queue, description="The waiting line of the pool.")
    sessions: Sessions = Field(
        default_factory=Sessions, description="State that lives on one worker under a handle."
    )
    results: Results = Field(default_factory=Results, description="What commands return.")
    recycle: Recycle = Field(
        default_factory=Recycle, description="When a healthy worker is replaced."
    )
    warmup: Annotated[
        tuple[Warmup, ...], Field(strict=False, max_length=16, json_schema_extra=ATOMIC)
    ] = Field(default=(), description="Calls that a worker runs before it is ready.")
    on_disconnect: Literal["Cancel", "Finish"] = Field(
        default="Cancel", description="What happens to a call whose caller has gone."
    )
    operations: Annotated[
        tuple[Operation, ...],
        Field(strict=False, max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
        Distinct,
    ] = Field(default=(), description="Globs: commands that come here when a caller names no pool.")
    scaling: Scaling | None = Field(default=None, description="Workers by load. Later.")
    per_caller: PerCaller | None = Field(
        default=None, description="What one caller may use of the pool. Later."
    )
    env: Annotated[
        tuple[EnvVar, ...], Field(strict=False, max_length=128, json_schema_extra=BY_NAME), Distinct
    ] = Field(default=(), description="Environment variables of the executors.")
    egress: Annotated[
        tuple[Egress, ...], Field(strict=False, max_length=32, json_schema_extra=ATOMIC)
    ] = Field(
        default=(), description="What executors may reach; default: DNS and routers. Cluster only."
    )
    pod: Pod | None = Field(default=None, description="Further parts of the pods. Cluster only.")
    local: Local | None = Field(default=None, description="What differs on one machine.")

    rules = (
        Rule(
            field="timeoutSeconds",
            holds=lambda spec: spec.timeout_seconds <= spec.max_timeout_seconds,
            cel="self.timeoutSeconds <= self.maxTimeoutSeconds",
            words="is {timeoutSeconds}, must be at most maxTimeoutSeconds ({maxTimeoutSeconds})",
        ),
        Rule(
            field="scaling",
            holds=lambda spec: spec.scaling is None,
            cel="!has(self.scaling)",
            words="comes later: must be left out, set replicas instead",
        ),
        Rule(
            field="replicas",
            holds=lambda spec: spec.scaling is None or "replicas" not in spec.model_fields_set,
            cel="",  # an API server has filled in replicas by then; the rule above speaks there
            words="must not be given together with scaling",
        ),
        Rule(
            field="perCaller",
            holds=lambda spec: spec.per_caller is None,
            cel="!has(self.perCaller)",
            words="comes later: must be left out",
        ),
        Rule(
            field="gpu.nodeSelector",
            holds=_selectors_agree,
            cel="!has(self.gpu) || !has(self.gpu.nodeSelector) || !has(self.pod) || "
            "!has(self.pod.nodeSelector) || self.gpu.nodeSelector.all(key, "
            "!(key in self.pod.nodeSelector) || "
            "self.pod.nodeSelector[key] == self.gpu.nodeSelector[key])",
            words="has a key with another value in pod.nodeSelector: must have the same",
        ),
    )


class Metadata(Model):
    """Name and labels; what an API server adds is kept as it is."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=POOL_NAME)]
    namespace: DnsName | None = None
    labels: Labels | None = None
    annotations: Annotated[dict[str, str], Field(max_length=256)] | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    generate_name: str | None = None
    finalizers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    owner_references: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    managed_fields: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()


class PythonPool(Model):
    """A pool of warm Python workers that offer the commands of one adapter."""

    api_version: Literal["pythonpool.dev/v1alpha1"]
    kind: Literal["PythonPool"]
    metadata: Metadata
    spec: PoolSpec = Field(description="What the pool should be.")
    status: PoolStatus | None = Field(default=None, description="What the pool is.")

    @property
    def name(self) -> str:
        """The pool's name, `metadata.name`."""
        return self.metadata.name


def validation_lines(error: ValidationError) -> list[str]:
    """One line for each mistake: the field's path, its value, what it must be."""
    return lines(error, PythonPool)


def parse_pool(document: dict[str, Any]) -> PythonPool:
    """Read one manifest as `up`, `validate` and the operator do.

    Raises:
        InvalidArgument: one line, the mistakes joined by `; `.
    """
    try:
        return PythonPool.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidArgument("; ".join(validation_lines(error))) from None


def new_pool(name: str, spec: PoolSpec) -> PythonPool:
    """A pool of that name, made in Python."""
    return PythonPool(
        api_version="pythonpool.dev/v1alpha1",
        kind="PythonPool",
        metadata=Metadata(name=name),
        spec=spec,
    )
