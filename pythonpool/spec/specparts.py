"""The parts of a PythonPool's spec that are pythonpool's own; see `pool` for the whole."""

from typing import Annotated, Literal

from pydantic import Field

from pythonpool.spec.fields import Between, CommandName, Free, Model, Rule
from pythonpool.spec.quantities import Cpu, Memory

MAX_REPLICAS = 1000

Replicas = Annotated[int, Field(ge=0, le=MAX_REPLICAS)]


class Resources(Model):
    """Memory and processor of one worker."""

    memory: Annotated[Memory, Between("64Mi", "4Ti")] = Field(
        default=Memory.parse("512Mi"),
        description="Request and limit of a worker's executors together; enforced locally too.",
    )
    cpu: Annotated[Cpu, Between("1m", "256")] = Field(
        default=Cpu.parse("100m"), description="Request of a worker's executors, in cores."
    )
    executor_memory: Annotated[Memory, Between("64Mi", "4Ti")] | None = Field(
        default=None, description="Limit of one executor, at most memory; default: none."
    )

    rules = (
        Rule(
            field="executorMemory",
            holds=lambda it: (
                it.executor_memory is None or it.executor_memory.bytes <= it.memory.bytes
            ),
            cel="!has(self.executorMemory) || !isQuantity(string(self.executorMemory)) || "
            "!isQuantity(string(self.memory)) || quantity(string(self.executorMemory))"
            ".compareTo(quantity(string(self.memory))) <= 0",
            words="is {executorMemory}, must be at most memory ({memory})",
        ),
    )


class HealthCheck(Model):
    """How the health of workers is judged."""

    period_seconds: int = Field(
        default=30, ge=1, le=600, description="Seconds between two checks of a worker."
    )
    failure_threshold: int = Field(
        default=3, ge=1, le=20, description="Failed checks in a row after which it is replaced."
    )
    startup_seconds: int = Field(
        default=120, ge=1, le=3600, description="Seconds that a worker may take to become ready."
    )


class Queue(Model):
    """The waiting line of the pool."""

    max_length: int = Field(
        default=100, ge=0, le=10000, description="Calls that may wait; more are refused at once."
    )
    timeout_seconds: int = Field(
        default=10, ge=0, le=3600, description="Seconds that a call waits for a slot."
    )


class Sessions(Model):
    """State that lives on one worker under a handle."""

    ttl_seconds: int = Field(
        default=3600, ge=1, le=604800, description="Seconds without a call after which one ends."
    )
    max_ttl_seconds: int = Field(
        default=86400, ge=1, le=604800, description="The most seconds that a caller may ask for."
    )
    max_per_worker: int = Field(
        default=16, ge=0, le=1000, description="Open sessions of one worker; 0: no sessions."
    )
    drain_seconds: int = Field(
        default=600, ge=0, le=86400, description="Seconds that a draining worker keeps sessions."
    )
    persistence: Literal["None", "Worker", "Shared"] = Field(
        default="Worker",
        description="Worker: the state outlives a killed call. None: it does not. Shared: later.",
    )
    max_state_bytes: Annotated[Memory, Between("0", "64Mi")] = Field(
        default=Memory.parse("1Mi"), description="Largest state that is kept, as a quantity."
    )

    rules = (
        Rule(
            field="ttlSeconds",
            holds=lambda sessions: sessions.ttl_seconds <= sessions.max_ttl_seconds,
            cel="self.ttlSeconds <= self.maxTtlSeconds",
            words="is {ttlSeconds}, must be at most maxTtlSeconds ({maxTtlSeconds})",
        ),
        Rule(
            field="persistence",
            holds=lambda sessions: sessions.persistence != "Shared",
            cel="self.persistence != 'Shared'",
            words="is Shared, which comes later: must be None or Worker",
        ),
    )


class Results(Model):
    """What commands return."""

    max_bytes: Annotated[Memory, Between("1Ki", "1Gi")] = Field(
        default=Memory.parse("64Mi"), description="Largest result of a call, as a quantity."
    )
    ttl_seconds: Annotated[int, Field(ge=1, le=604800)] | None = Field(
        default=None, description="Seconds that results of async executions are kept. Later."
    )

    rules = (
        Rule(
            field="ttlSeconds",
            holds=lambda results: results.ttl_seconds is None,
            cel="!has(self.ttlSeconds)",
            words="comes later, with async executions: must be left out",
        ),
    )


class Recycle(Model):
    """When a worker is replaced though it is healthy."""

    max_calls: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        default=None, description="Calls after which a worker is replaced; default: none."
    )
    max_age_seconds: Annotated[int, Field(ge=60, le=2592000)] | None = Field(
        default=None, description="Age in seconds at which a worker is replaced; default: none."
    )
    memory_percent: int = Field(
        default=90, ge=50, le=99, description="Part of resources.memory at which it is replaced."
    )


class Warmup(Model):
    """A call that every worker runs before it is ready."""

    command: CommandName = Field(description="Name of the command.")
    args: Free | None = Field(default=None, description="Its arguments; default: none.")


class Scaling(Model):
    """Workers by load. Later."""

    min_replicas: Replicas = Field(default=0, description="The fewest workers.")
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = Field(
        description="The most workers."
    )
    target_busy_percent: int = Field(
        default=70, ge=1, le=100, description="Part of the slots that should be busy."
    )
    scale_down_delay_seconds: int = Field(
        default=300, ge=0, le=86400, description="Seconds of low load before workers go."
    )
    wake_timeout_seconds: int = Field(
        default=120, ge=1, le=3600, description="Seconds that a call waits for a first worker."
    )


class PerCaller(Model):
    """What one caller may use of a pool. Later."""

    max_running: Annotated[int, Field(ge=1, le=256000)] | None = Field(
        default=None, description="Calls that run at once; default: no limit."
    )
    max_queued: Annotated[int, Field(ge=0, le=10000)] | None = Field(
        default=None, description="Calls that wait; default: no limit."
    )
    max_sessions: Annotated[int, Field(ge=0, le=1000000)] | None = Field(
        default=None, description="Open sessions; default: no limit."
    )


class Local(Model):
    """What differs on one machine. A cluster passes it over."""

    replicas: Replicas | None = Field(
        default=None, description="Workers on one machine; default: replicas."
    )
    replicas_per_core: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Workers for each core, when local.replicas is not given."
    )
    gpu: Literal["Required", "IfPresent"] = Field(
        default="Required",
        description="IfPresent: start without a GPU where the machine has none.",
    )
