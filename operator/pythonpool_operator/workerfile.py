"""`worker.json` of a pool's pods: the part of the spec that a running worker can not take over.

Pure. Live fields are left out, so that changing them changes no pod; a worker starts on their
defaults at generation 0 and has the pool's own from its first router, before the first call.
"""

import json

from pythonpool.pool import PythonPool
from pythonpool.spec.changes import fixed_part
from pythonpool.spec.normalised import normalised_spec
from pythonpool_operator.compare import fingerprint
from pythonpool_operator.kinds import CONFIG_ANNOTATION, Json

# What the operator turns into parts of the pod, or what a cluster passes over.
_NOT_FOR_WORKERS = ("pod", "env", "egress", "gpu", "local")


def worker_hash(pool: PythonPool) -> str:
    """16 hex digits that change when, and only when, the workers are to be replaced."""
    fixed = fixed_part(normalised_spec(pool))
    return fingerprint({name: value for name, value in fixed.items() if name != "local"})


def worker_file(pool: PythonPool) -> str:
    """The text of `worker.json` (protocols.md, section 7); the worker's name is not in it."""
    fixed = fixed_part(normalised_spec(pool))
    spec = {name: value for name, value in fixed.items() if name not in _NOT_FOR_WORKERS}
    executor = spec["resources"]["executorMemoryBytes"]
    # The keeper reads quantities, under the names of a manifest.
    spec["resources"] |= {
        "memory": str(spec["resources"]["memoryBytes"]),
        "executorMemory": None if executor is None else str(executor),
    }
    content = {
        "pool": pool.name,
        "generation": 0,
        "spec": spec,
        "import_path": [],
        "one_machine": False,
        # There may be no other free GPU for a new pod that comes first.
        "recycles_in_place": pool.spec.gpu is not None,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def file_key(config: str) -> str:
    """The key of a `worker.json` in the pool's ConfigMap; `config` is its `worker_hash`."""
    return f"worker-{config}.json"


def files(pool: PythonPool, live: Json | None, pods: list[Json]) -> dict[str, str]:
    """The data of the pool's ConfigMap: what new pods read, and what living pods still may.

    Args:
        pool: the pool as it should be.
        live: its ConfigMap as it is, if there is one.
        pods: its pods; a container that starts again reads its own pod's file again.
    """
    wanted = {file_key(worker_hash(pool)): worker_file(pool)}
    before: dict[str, str] = (live or {}).get("data") or {}
    for pod in pods:
        annotations = pod["metadata"].get("annotations") or {}
        key = file_key(annotations.get(CONFIG_ANNOTATION, ""))
        if key in before:
            wanted.setdefault(key, before[key])
    return wanted
