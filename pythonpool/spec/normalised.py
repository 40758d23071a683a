"""A pool's spec as plain data, for the parts that do not import pydantic.

Called by whoever hands a pool to routers, agents and keepers, and by whoever sees it change.
"""

from typing import Any

from pythonpool.pool import PythonPool
from pythonpool.spec.changes import fixed_part


def normalised_spec(pool: PythonPool) -> dict[str, Any]:
    """The spec as JSON carries it: camelCase, every default filled in, null for what is not set.

    Quantities are whole numbers under names that say so: `resources.memoryBytes`,
    `resources.executorMemoryBytes` (or null), `resources.cpuMillis`, `sessions.maxStateBytes`,
    `results.maxBytes`. `config` and a warmup's `args` are objects, `local` is an object or null.
    """
    spec = pool.spec
    plain: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    executor = spec.resources.executor_memory
    plain["resources"] = {
        "memoryBytes": spec.resources.memory.bytes,
        "executorMemoryBytes": executor.bytes if executor else None,
        "cpuMillis": spec.resources.cpu.millis,
    }
    plain["sessions"]["maxStateBytes"] = spec.sessions.max_state_bytes.bytes
    plain["results"]["maxBytes"] = spec.results.max_bytes.bytes
    plain["config"] = plain["config"] or {}
    for call in plain["warmup"]:
        call["args"] = call["args"] or {}
    return plain


def needs_replacement(old: PythonPool, new: PythonPool) -> bool:
    """Whether going from `old` to `new` replaces the workers; else it reaches them as they run.

    Quantities compare by their numbers: `1024Mi` to `1Gi` is no change.
    """
    return fixed_part(normalised_spec(old)) != fixed_part(normalised_spec(new))
