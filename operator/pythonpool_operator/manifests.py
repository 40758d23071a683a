"""The objects that a pool consists of, as they should be. Pure: plain data out."""

from pythonpool import __version__ as version
from pythonpool.pool import PythonPool
from pythonpool_operator.compare import fingerprint
from pythonpool_operator.kinds import (
    BUDGET,
    CONFIG_ANNOTATION,
    CONFIG_MAP,
    DEPLOYMENT,
    FINGERPRINT_ANNOTATION,
    MANAGER,
    NETWORK_POLICY,
    POOL,
    POOL_LABEL,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from pythonpool_operator.networkpolicy import policy_spec
from pythonpool_operator.podspec import account_name, pod_spec
from pythonpool_operator.settings import Settings
from pythonpool_operator.workerfile import worker_hash

# As long as Kubernetes itself waits for a Deployment to go on.
_PROGRESS_SECONDS = 600


def labels(pool: str) -> dict[str, str]:
    """The labels of every object and pod of a pool."""
    return {
        "app.kubernetes.io/name": "pythonpool",
        "app.kubernetes.io/instance": pool,
        "app.kubernetes.io/component": "worker",
        "app.kubernetes.io/managed-by": MANAGER,
        POOL_LABEL: pool,
    }


def selector(pool: str) -> str:
    """The label selector of a pool's pods, as text."""
    return f"{POOL_LABEL}={pool}"


def child_name(kind: Kind, pool: str) -> str:
    """The name of a pool's object of that kind."""
    return account_name(pool) if kind in (SERVICE_ACCOUNT, CONFIG_MAP) else pool


def service_account(pool: PythonPool) -> Json:
    """An identity without any right: what a token for the link is made for."""
    return _object(pool, SERVICE_ACCOUNT) | {"automountServiceAccountToken": False}


def config_map(pool: PythonPool, data: dict[str, str]) -> Json:
    """The files that the pool's pods read; see `workerfile.files`."""
    return _object(pool, CONFIG_MAP) | {"data": data}


def disruption_budget(pool: PythonPool) -> Json:
    """A drained node takes one worker at a time; broken workers never hold up a drain."""
    return _object(pool, BUDGET) | {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {POOL_LABEL: pool.name}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }


def network_policy(pool: PythonPool, settings: Settings) -> Json:
    """What the pool's pods may reach."""
    return _object(pool, NETWORK_POLICY) | {"spec": policy_spec(pool, settings)}


def deployment(
    pool: PythonPool, image: str, settings: Settings, replicas: int | None = None
) -> Json:
    """The workers. Live fields of the spec, but `replicas`, change nothing in it.

    `replicas`: how many pods at the moment; None: as many as the spec says.
    """
    spec, pod = pool.spec, pool.spec.pod
    # A GPU pool would wait for ever for one more free GPU.
    surge, unavailable = (0, 1) if spec.gpu else (1, 0)
    template = {
        "metadata": {
            # Ours last: they say whose pod it is.
            "labels": {**((pod and pod.labels) or {}), **labels(pool.name)},
            "annotations": {
                **((pod and pod.annotations) or {}),
                CONFIG_ANNOTATION: worker_hash(pool),
                "kubectl.kubernetes.io/default-container": "executors",
            },
        },
        "spec": pod_spec(pool, image, settings),
    }
    return _object(pool, DEPLOYMENT) | {
        "spec": {
            "replicas": spec.replicas if replicas is None else replicas,
            "selector": {"matchLabels": {POOL_LABEL: pool.name}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": max(
                _PROGRESS_SECONDS, spec.health_check.startup_seconds + 60
            ),
            "template": template,
        }
    }


def children(
    pool: PythonPool,
    image: str,
    data: dict[str, str],
    settings: Settings,
    replicas: int | None = None,
) -> list[tuple[Kind, Json]]:
    """All objects of a pool, in the order in which they are made.

    Each carries a fingerprint of itself: so what is no longer wanted in it is seen as a change,
    though only what is wanted is compared with the live object.
    """
    made = [
        (SERVICE_ACCOUNT, service_account(pool)),
        (CONFIG_MAP, config_map(pool, data)),
        (NETWORK_POLICY, network_policy(pool, settings)),
        (BUDGET, disruption_budget(pool)),
        (DEPLOYMENT, deployment(pool, image, settings, replicas)),
    ]
    for _, manifest in made:
        manifest["metadata"]["annotations"] = {FINGERPRINT_ANNOTATION: fingerprint(manifest)}
    return made


def _object(pool: PythonPool, kind: Kind) -> Json:
    """What all of them have; the owner reference lets Kubernetes clean up, without a finalizer."""
    owner = {
        "apiVersion": POOL.api_version,
        "kind": POOL.kind,
        "name": pool.name,
        "uid": pool.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": child_name(kind, pool.name),
            "namespace": pool.metadata.namespace,
            "labels": {**labels(pool.name), "app.kubernetes.io/version": version},
            "ownerReferences": [owner],
        },
    }
