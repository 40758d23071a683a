"""The parts of a PythonPool that mean what they mean in Kubernetes: env, egress, gpu, pod.

Curated: what a pool may set on its pods is listed here; what Kubernetes alone judges (affinity,
volumes, spread) is passed on as it is.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from pythonpool.spec.fields import (
    ABSOLUTE,
    ATOMIC,
    BY_NAME,
    ENV_NAME,
    NO_SPACE,
    QUALIFIED,
    SECRET_KEY,
    Annotations,
    Distinct,
    DnsName,
    Free,
    LabelKey,
    Labels,
    Model,
    Rule,
    must,
)


class SecretKeyRef(Model):
    """One key of a Secret in the pool's namespace."""

    name: DnsName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=SECRET_KEY)] = Field(
        description="Key within the Secret."
    )
    optional: bool | None = Field(
        default=None, description="Start without the variable when the Secret or key is missing."
    )


class EnvSource(Model):
    """Where the value of an environment variable comes from."""

    secret_key_ref: SecretKeyRef = Field(description="One key of a Secret. Cluster only.")


class EnvVar(Model):
    """One environment variable of the executors."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=ENV_NAME)] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=32768)] | None = Field(
        default=None, description="The value as text."
    )
    value_from: EnvSource | None = Field(default=None, description="Where the value comes from.")

    rules = (
        Rule(
            field="value",
            holds=lambda env: (env.value is None) != (env.value_from is None),
            cel="has(self.value) != has(self.valueFrom)",
            words="must be given, or valueFrom: exactly one of the two",
        ),
    )


def _is_cidr(value: str) -> str:
    from ipaddress import ip_network

    try:
        ip_network(value, strict=False)
        fits = "/" in value
    except ValueError:
        fits = False
    must(fits, "an address range such as 10.1.0.0/16")
    return value


Cidr = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "isCIDR(self)", "message": "must be an address range such as 10.1.0.0/16"}
            ]
        },
    ),
    AfterValidator(_is_cidr),
]
Port = Annotated[int, Field(ge=1, le=65535)]


class Egress(Model):
    """One destination that the executors may reach."""

    internet: Literal[True] | None = Field(
        default=None, description="Everything but the cluster's own and private addresses."
    )
    cidr: Cidr | None = Field(default=None, description="An address range, e.g. 10.1.0.0/16.")
    ports: Annotated[
        tuple[Port, ...], Field(strict=False, max_length=32, json_schema_extra=ATOMIC)
    ] = Field(default=(), description="TCP ports; none named: all of them.")

    rules = (
        Rule(
            field="cidr",
            holds=lambda egress: (egress.internet is None) != (egress.cidr is None),
            cel="has(self.internet) != has(self.cidr)",
            words="must be given, or internet: exactly one of the two",
        ),
    )


class Toleration(Model):
    """A taint that the pods tolerate, as in Kubernetes."""

    key: LabelKey | None = Field(default=None, description="Key of the taint; none: all keys.")
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None, description="Exists, or Equal (the default of Kubernetes)."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Value of the taint, with Equal."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; none: all effects."
    )
    toleration_seconds: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = Field(
        default=None, description="With NoExecute: seconds until eviction."
    )


Tolerations = Annotated[
    tuple[Toleration, ...], Field(strict=False, max_length=32, json_schema_extra=ATOMIC)
]


class Gpu(Model):
    """GPUs of each worker."""

    count: int = Field(ge=1, le=64, description="GPUs per worker.")
    resource_name: Annotated[str, Field(min_length=1, max_length=253, pattern=QUALIFIED)] = Field(
        default="nvidia.com/gpu", description="The extended resource that stands for one GPU."
    )
    node_selector: Labels | None = Field(
        default=None, description="Labels of nodes with the right GPU, beside pod.nodeSelector."
    )
    tolerations: Tolerations = Field(
        default=(), description="Taints of GPU nodes that are tolerated, beside pod.tolerations."
    )
    runtime_class_name: DnsName | None = Field(
        default=None, description="RuntimeClass of the pods, e.g. nvidia."
    )


class SecretName(Model):
    """The name of a Secret."""

    name: DnsName = Field(description="Name of the Secret.")


class Volume(Model):
    """One volume of the pods; its source is as in Kubernetes and passed on as it is."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )

    name: DnsName = Field(description="Name of the volume.")

    def to_kubernetes(self) -> dict[str, Any]:
        """The whole volume as it was given."""
        return self.model_dump(by_alias=True, exclude_none=True)


class VolumeMount(Model):
    """One mount of a volume in the executors' container, as in Kubernetes."""

    name: DnsName = Field(description="Name of the volume.")
    mount_path: Annotated[str, Field(min_length=1, max_length=4096, pattern=ABSOLUTE)] = Field(
        description="Where in the container."
    )
    sub_path: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="A path within the volume."
    )
    read_only: bool | None = Field(default=None, description="Mount without the right to write.")
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = Field(
        default=None, description="How mounts are propagated."
    )


class Pod(Model):
    """What the pods of a pool have beside what pythonpool gives them. Cluster only."""

    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=NO_SPACE)] | None = Field(
        default=None,
        description="Image of the executors; default: the release's image of the adapter's name.",
    )
    labels: Labels | None = Field(default=None, description="Further labels of the pods.")
    annotations: Annotations | None = Field(
        default=None, description="Further annotations of the pods."
    )
    node_selector: Labels | None = Field(default=None, description="Labels of fit nodes.")
    tolerations: Tolerations = Field(default=(), description="Taints that are tolerated.")
    affinity: Free | None = Field(default=None, description="Affinity, as in Kubernetes.")
    topology_spread_constraints: Annotated[
        tuple[Free, ...], Field(strict=False, max_length=16, json_schema_extra=ATOMIC)
    ] = Field(default=(), description="Spread over zones and nodes, as in Kubernetes.")
    priority_class_name: DnsName | None = Field(default=None, description="PriorityClass.")
    service_account_name: DnsName | None = Field(
        default=None, description="ServiceAccount of the pods; default: one without any right."
    )
    image_pull_secrets: Annotated[
        tuple[SecretName, ...],
        Field(strict=False, max_length=16, json_schema_extra=BY_NAME),
        Distinct,
    ] = Field(default=(), description="Secrets to pull the image with.")
    volumes: Annotated[
        tuple[Volume, ...], Field(strict=False, max_length=32, json_schema_extra=BY_NAME), Distinct
    ] = Field(default=(), description="Further volumes, as in Kubernetes.")
    volume_mounts: Annotated[
        tuple[VolumeMount, ...], Field(strict=False, max_length=32, json_schema_extra=ATOMIC)
    ] = Field(default=(), description="Mounts in the executors' container, as in Kubernetes.")
