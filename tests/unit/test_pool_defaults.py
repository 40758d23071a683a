"""What a pool is when its manifest does not say: the table of API.md 1, and the sample above it."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from pythonpool.errors import InvalidArgument
from pythonpool.pool import PoolSpec, new_pool, parse_pool
from pythonpool.spec.normalised import normalised_spec
from pythonpool.spec.podfields import Gpu
from pythonpool.spec.specparts import Local, Scaling, Sessions

DEFAULTS: dict[str, Any] = {
    "adapter": "general",
    "config": {},
    "replicas": 1,
    "concurrency": 1,
    "isolation": "process",
    "resources": {"memoryBytes": 512 * 2**20, "executorMemoryBytes": None, "cpuMillis": 100},
    "gpu": None,
    "timeoutSeconds": 30,
    "maxTimeoutSeconds": 3600,
    "healthCheck": {"periodSeconds": 30, "failureThreshold": 3, "startupSeconds": 120},
    "queue": {"maxLength": 100, "timeoutSeconds": 10},
    "sessions": {
        "ttlSeconds": 3600,
        "maxTtlSeconds": 86400,
        "maxPerWorker": 16,
        "drainSeconds": 600,
        "persistence": "Worker",
        "maxStateBytes": 2**20,
    },
    "results": {"maxBytes": 64 * 2**20, "ttlSeconds": None},
    "recycle": {"maxCalls": None, "maxAgeSeconds": None, "memoryPercent": 90},
    "warmup": [],
    "onDisconnect": "Cancel",
    "operations": [],
    "scaling": None,
    "perCaller": None,
    "env": [],
    "egress": [],
    "pod": None,
    "local": None,
}

SAMPLE: dict[str, Any] = {
    "adapter": "optimizer",
    "config": {"model": {"name": "x", "layers": [1, 2, None]}},
    "replicas": 2,
    "concurrency": 1,
    "isolation": "process",
    "resources": {"memory": "4Gi", "cpu": "1", "executorMemory": "2Gi"},
    "gpu": {
        "count": 1,
        "resourceName": "nvidia.com/gpu",
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "runtimeClassName": "nvidia",
    },
    "timeoutSeconds": 300,
    "maxTimeoutSeconds": 3600,
    "healthCheck": {"periodSeconds": 60, "failureThreshold": 3, "startupSeconds": 120},
    "queue": {"maxLength": 100, "timeoutSeconds": 10},
    "sessions": {"persistence": "Worker", "maxStateBytes": "1Mi"},
    "results": {"maxBytes": "64Mi"},
    "recycle": {"maxCalls": 100000, "maxAgeSeconds": 86400, "memoryPercent": 90},
    "warmup": [{"command": "ping", "args": {}}],
    "onDisconnect": "Cancel",
    "operations": ["optimize_*"],
    "env": [
        {"name": "A", "value": ""},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "b"}}},
    ],
    "egress": [{"internet": True}, {"cidr": "10.1.0.0/16", "ports": [443]}],
    "pod": {
        "image": "registry.example:5000/shop@sha256:00",
        "labels": {"team": "a"},
        "annotations": {"example.com/note": "any text: at all"},
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"anything": [1]}},
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "priorityClassName": "high",
        "serviceAccountName": "worker",
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}],
    },
    "local": {"replicas": 1, "replicasPerCore": 2, "gpu": "IfPresent"},
}


def document(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "pythonpool.dev/v1alpha1",
        "kind": "PythonPool",
        "metadata": {"name": "optimizer"},
        "spec": spec,
    }


def test_every_default_is_that_of_the_contract() -> None:
    """Routers, agents and keepers read exactly this."""
    assert normalised_spec(parse_pool(document({"adapter": "general"}))) == DEFAULTS


def test_a_spec_made_in_python_has_the_same_defaults() -> None:
    """One model, two ways in."""
    assert normalised_spec(new_pool("general", PoolSpec(adapter="general"))) == DEFAULTS


def test_nulls_are_absent_fields() -> None:
    """As in the API server, where a null is dropped and the default filled in."""
    spec = dict.fromkeys(DEFAULTS) | {"adapter": "general", "queue": {"maxLength": None}}

    assert normalised_spec(parse_pool(document(spec))) == DEFAULTS


def test_the_sample_of_the_contract_is_accepted_whole() -> None:
    """Every field at once, and the free parts as they were given."""
    plain = normalised_spec(parse_pool(document(SAMPLE)))

    assert plain["config"] == SAMPLE["config"]
    assert plain["resources"] == {
        "memoryBytes": 4 * 2**30,
        "executorMemoryBytes": 2 * 2**30,
        "cpuMillis": 1000,
    }
    assert plain["pod"]["volumes"] == SAMPLE["pod"]["volumes"]
    assert plain["pod"]["affinity"] == SAMPLE["pod"]["affinity"]
    assert plain["local"] == SAMPLE["local"]
    assert plain["warmup"] == [{"command": "ping", "args": {}}]


def test_what_an_api_server_adds_is_accepted() -> None:
    """The operator reads live objects with the same models."""
    live = document({"adapter": "general"})
    live["metadata"] |= {
        "uid": "0a",
        "generation": 3,
        "resourceVersion": "17",
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }
    live["status"] = {
        "observedGeneration": 3,
        "replicas": 1,
        "readyReplicas": 1,
        "selector": "a=b",
        "conditions": [{"type": "Ready", "status": "True", "reason": "AllReady", "message": ""}],
        "fieldOfANewerRelease": 1,
    }

    pool = parse_pool(live)

    assert pool.metadata.generation == 3
    assert pool.status is not None
    assert pool.status.conditions[0].reason == "AllReady"


def test_a_pool_can_not_be_changed() -> None:
    """What was validated stays so."""
    with pytest.raises(ValidationError):
        PoolSpec(adapter="a").replicas = 5


@pytest.mark.parametrize(
    "bad",
    [
        lambda: PoolSpec(adapter="a", timeout_seconds=4000),
        lambda: PoolSpec(adapter="a", scaling=Scaling(max_replicas=3)),
        lambda: Sessions(ttl_seconds=2, max_ttl_seconds=1),
        lambda: Local(replicas=-1),
        lambda: Gpu(count=0),
    ],
)
def test_rules_hold_for_specs_made_in_python(bad: Any) -> None:
    """A model that exists is valid, however it was made."""
    with pytest.raises(ValidationError):
        bad()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values below `value`."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, below in items:
        yield (*path, key)
        yield from places(below, (*path, key))


JUNK: list[Any] = [
    None,
    True,
    -1,
    10**400,
    1.5,
    float("inf"),
    "",
    "\ud800",
    "a\nb",
    [],
    [[]],
    {},
    {"\n": 2},
]


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk)[:20])
def test_junk_anywhere_is_at_most_one_line(junk: Any) -> None:
    """Whatever stands at whatever place: a pool, or one printable line in words of our own."""
    for *way, last in places(document(SAMPLE)):
        wrong: Any = document(copy.deepcopy(SAMPLE))
        inner = wrong
        for key in way:
            inner = inner[key]
        inner[last] = junk
        try:
            parse_pool(wrong)
        except InvalidArgument as error:
            line = error.detail
            assert line.isprintable()
            assert "must " in line or "is not a field" in line
            assert "must be valid" not in line
