"""What a change of a pool does, and how many workers it has on one machine."""

from typing import Any

import pytest

from pythonpool.pool import PoolSpec, PythonPool, parse_pool
from pythonpool.sizing import local_replicas
from pythonpool.spec.normalised import needs_replacement
from pythonpool.spec.specparts import Local


def pool(spec: dict[str, Any]) -> PythonPool:
    return parse_pool(
        {
            "apiVersion": "pythonpool.dev/v1alpha1",
            "kind": "PythonPool",
            "metadata": {"name": "general"},
            "spec": {"adapter": "general"} | spec,
        }
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"replicas": 5},
        {"queue": {"maxLength": 5, "timeoutSeconds": 1}},
        {"timeoutSeconds": 5},
        {"onDisconnect": "Finish"},
        {"operations": ["a*"]},
        {"results": {"maxBytes": "1Mi"}},
        {"recycle": {"maxCalls": 5, "memoryPercent": 60}},
        {"sessions": {"ttlSeconds": 5, "maxTtlSeconds": 6}},
        {"sessions": {"maxPerWorker": 5, "maxStateBytes": 0}},
        {"local": {"replicas": 5}},
        {"local": {"replicasPerCore": 5}},
        {"resources": {"memory": "0.5Gi", "cpu": "0.1"}},
        {"gpu": None},
    ],
)
def test_a_change_that_reaches_running_workers(change: dict[str, Any]) -> None:
    """It ends nothing."""
    assert not needs_replacement(pool({}), pool(change))


@pytest.mark.parametrize(
    "change",
    [
        {"adapter": "optimizer"},
        {"config": {"a": 1}},
        {"concurrency": 2},
        {"isolation": "thread"},
        {"resources": {"memory": "1Gi"}},
        {"resources": {"cpu": "1"}},
        {"resources": {"executorMemory": "64Mi"}},
        {"gpu": {"count": 1}},
        {"maxTimeoutSeconds": 60},
        {"healthCheck": {"periodSeconds": 5}},
        {"sessions": {"drainSeconds": 5}},
        {"sessions": {"persistence": "None"}},
        {"warmup": [{"command": "ping"}]},
        {"env": [{"name": "A", "value": "1"}]},
        {"egress": [{"internet": True}]},
        {"pod": {"image": "a"}},
        {"local": {"gpu": "IfPresent"}},
    ],
)
def test_a_change_that_replaces_workers(change: dict[str, Any]) -> None:
    """Both ways, and together with one that would not."""
    assert needs_replacement(pool({}), pool(change))
    assert needs_replacement(pool(change), pool({}))
    assert needs_replacement(pool({}), pool(change | {"replicas": 3}))


@pytest.mark.parametrize(
    ("local", "cores", "workers"),
    [
        (None, 8, 3),
        (Local(), 8, 3),
        (Local(replicas=1), 8, 1),
        (Local(replicas=0), 8, 0),
        (Local(replicas_per_core=2), 8, 16),
        (Local(replicas_per_core=2), 1, 2),
        (Local(replicas_per_core=2), 0, 2),
        (Local(replicas_per_core=64), 128, 1000),
        (Local(replicas=1, replicas_per_core=2), 8, 1),
    ],
)
def test_workers_on_one_machine(local: Local | None, cores: int, workers: int) -> None:
    """The number that is given goes before the one by cores, and that before the cluster's."""
    assert local_replicas(PoolSpec(adapter="general", replicas=3, local=local), cores) == workers
