"""The pod of a worker: two containers, `executors` with the user's image and `agent` with ours.

Pure: a pool and settings in, plain data out, quantities in the form that Kubernetes shows.
"""

from typing import Any

from pydantic import BaseModel

from pythonpool.pool import PythonPool
from pythonpool_operator.kinds import POOL_LABEL, Json
from pythonpool_operator.settings import Settings
from pythonpool_operator.workerfile import file_key, worker_hash

RUN_FOLDER = "/var/run/pythonpool"
SECRETS_FOLDER = "/var/run/secrets/pythonpool"
SCRATCH_FOLDER = "/tmp"  # noqa: S108 - of the container alone, and all that it may write to
PROBE_PORT = 8079
AGENT_MEMORY = "64Mi"
GRACE_MARGIN_SECONDS = 30
EXECUTORS_UID = 65532
AGENT_UID = 65531
SHARED_GID = 65530

_LOST_NODE_SECONDS = 30
_TOKEN_SECONDS = 3600
_GPU_VARIABLE = "NVIDIA_VISIBLE_DEVICES"


def image_of(pool: PythonPool, settings: Settings) -> str | None:
    """The executors' image; None: the adapter is the user's own and `pod.image` is missing."""
    spec = pool.spec
    if spec.pod is not None and spec.pod.image is not None:
        return spec.pod.image
    shipped = settings.worker_images
    on_gpu = shipped.get(f"{spec.adapter}-gpu") if spec.gpu else None
    return on_gpu or shipped.get(spec.adapter)


def grace_seconds(pool: PythonPool) -> int:
    """Time for running calls and open sessions to end; fixed when a pod is made."""
    spec = pool.spec
    return max(spec.max_timeout_seconds, spec.sessions.drain_seconds) + GRACE_MARGIN_SECONDS


def pod_spec(pool: PythonPool, image: str, settings: Settings) -> Json:
    """`spec.template.spec` of the pool's Deployment."""
    spec, pod = pool.spec, pool.spec.pod
    found: Json = {
        "serviceAccountName": (pod and pod.service_account_name) or account_name(pool.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(pool),
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": SHARED_GID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_executors(pool, image, settings)],
        "containers": [_agent(pool, settings)],
        "volumes": [*_volumes(pool, settings), *_user_volumes(pool)],
        "tolerations": _tolerations(pool),
        "topologySpreadConstraints": _spread(pool),
    }
    selector = {
        **((pod and pod.node_selector) or {}),
        **((spec.gpu and spec.gpu.node_selector) or {}),
    }
    optional: Json = {
        "nodeSelector": selector,
        "runtimeClassName": spec.gpu and spec.gpu.runtime_class_name,
        "affinity": pod and pod.affinity,
        "priorityClassName": pod and pod.priority_class_name,
        "imagePullSecrets": [plain(each) for each in pod.image_pull_secrets] if pod else [],
    }
    return found | {name: value for name, value in optional.items() if value}


def account_name(pool: str) -> str:
    """The pool's own ServiceAccount and ConfigMap: a pool may be named `default`."""
    return f"pythonpool-{pool}"


def plain(model: BaseModel) -> Json:
    """A part of the spec as Kubernetes writes it; what was not given is left out."""
    found: Json = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def _executors(pool: PythonPool, image: str, settings: Settings) -> Json:
    resources, gpu = pool.spec.resources, pool.spec.gpu
    memory, devices = str(resources.memory), {}
    if gpu:
        devices = {gpu.resource_name: str(gpu.count)}
    return {
        "name": "executors",
        "image": image,
        "imagePullPolicy": settings.pull_policy,
        # A native sidecar: it starts before the agent and ends after it.
        "restartPolicy": "Always",
        "command": ["python", "-P", "-m", "pythonpool_worker.keeper"],
        "args": ["--config", f"{RUN_FOLDER}/worker.json", "--worker", "$(POD_NAME)"],
        "env": _environment(pool),
        "resources": {
            "requests": {"cpu": str(resources.cpu), "memory": memory, **devices},
            "limits": {"memory": memory, **devices},
        },
        "securityContext": _restricted(EXECUTORS_UID),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *_shared_mounts(),
            {"name": "scratch", "mountPath": SCRATCH_FOLDER},
            *_user_mounts(pool),
        ],
    }


def _agent(pool: PythonPool, settings: Settings) -> Json:
    namespace = "$(POD_NAMESPACE)"
    router = f"tls:{settings.router_service}.{namespace}.svc:{settings.link_port}"
    return {
        "name": "agent",
        "image": settings.agent_image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python", "-P", "-m", "pythonpool_worker.agent"],
        "args": [
            *("--config", f"{RUN_FOLDER}/worker.json"),
            *("--worker", "$(POD_NAME)"),
            *("--router", router),
            *("--token-file", f"{SECRETS_FOLDER}/token"),
            *("--ca-file", f"{SECRETS_FOLDER}/ca.crt"),
            *("--probe", f"tcp::{PROBE_PORT}"),
        ],
        "env": [
            _from_field("POD_NAME", "metadata.name"),
            _from_field("POD_NAMESPACE", "metadata.namespace"),
        ],
        "ports": [{"name": "probes", "containerPort": PROBE_PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "10m", "memory": AGENT_MEMORY},
            "limits": {"memory": AGENT_MEMORY},
        },
        "securityContext": _restricted(AGENT_UID),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *_shared_mounts(),
            {"name": "link", "mountPath": SECRETS_FOLDER, "readOnly": True},
        ],
        **_probes(pool),
    }


def _probes(pool: PythonPool) -> Json:
    check = pool.spec.health_check
    seldom = {
        "periodSeconds": check.period_seconds,
        "timeoutSeconds": min(5, check.period_seconds),
        "failureThreshold": check.failure_threshold,
    }
    # Asked every second until it has started, so that a worker serves when it can.
    often = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": check.startup_seconds}
    return {
        "startupProbe": {"httpGet": _get("/startupz"), **often},
        "livenessProbe": {"httpGet": _get("/livez"), **seldom},
        "readinessProbe": {"httpGet": _get("/readyz"), **seldom},
    }


def _get(path: str) -> Json:
    return {"path": path, "port": PROBE_PORT, "scheme": "HTTP"}


def _environment(pool: PythonPool) -> list[Json]:
    """The user's variables, and ours before them, so that theirs can refer to ours."""
    theirs = {each.name: plain(each) for each in pool.spec.env}
    ours: dict[str, Json] = {
        "POD_NAME": _from_field("POD_NAME", "metadata.name"),
        "HOME": {"name": "HOME", "value": SCRATCH_FOLDER},
    }
    if pool.spec.gpu is None:
        # Unset would mean all GPUs of the node, in images made for GPUs.
        theirs.pop(_GPU_VARIABLE, None)
        ours[_GPU_VARIABLE] = {"name": _GPU_VARIABLE, "value": "void"}
    theirs.pop("POD_NAME", None)
    return [value for name, value in ours.items() if name not in theirs] + list(theirs.values())


def _from_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _restricted(uid: int) -> Json:
    return {
        "runAsUser": uid,
        "runAsGroup": uid,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _shared_mounts() -> list[Json]:
    return [
        {"name": "run", "mountPath": RUN_FOLDER},
        {
            "name": "config",
            "mountPath": f"{RUN_FOLDER}/worker.json",
            "subPath": "worker.json",
            "readOnly": True,
        },
    ]


def _volumes(pool: PythonPool, settings: Settings) -> list[Json]:
    key = file_key(worker_hash(pool))
    token = {
        "audience": settings.audience,
        "expirationSeconds": _TOKEN_SECONDS,
        "path": "token",
    }
    # Optional: a pod starts before the routers' authority is there, and reads it when it is.
    authority = {
        "name": settings.link_ca,
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
        "optional": True,
    }
    return [
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {
            "name": "config",
            "configMap": {
                "name": account_name(pool.name),
                "items": [{"key": key, "path": "worker.json"}],
            },
        },
        {
            "name": "link",
            "projected": {
                "defaultMode": 0o440,
                "sources": [{"serviceAccountToken": token}, {"configMap": authority}],
            },
        },
    ]


def _user_volumes(pool: PythonPool) -> list[Json]:
    return [each.to_kubernetes() for each in pool.spec.pod.volumes] if pool.spec.pod else []


def _user_mounts(pool: PythonPool) -> list[Json]:
    return [plain(each) for each in pool.spec.pod.volume_mounts] if pool.spec.pod else []


def _tolerations(pool: PythonPool) -> list[Json]:
    spec = pool.spec
    given = [
        plain(each)
        for each in (
            *(spec.gpu.tolerations if spec.gpu else ()),
            *(spec.pod.tolerations if spec.pod else ()),
        )
    ]
    found: list[Json] = []
    for each in given:
        if each not in found:
            found.append(each)
    keys = {each.get("key") for each in found}
    lost = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return found + [_while_lost(key) for key in lost if key not in keys]


def _while_lost(key: str) -> Json:
    return {
        "key": key,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": _LOST_NODE_SECONDS,
    }


def _spread(pool: PythonPool) -> list[Any]:
    if pool.spec.pod and pool.spec.pod.topology_spread_constraints:
        return list(pool.spec.pod.topology_spread_constraints)
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {POOL_LABEL: pool.name}},
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]
