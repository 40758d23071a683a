"""What template and executors read of `worker.json`, and the adapter that it names."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythonpool.adapter import Adapter, AdapterError
from pythonpool.sdk.loading import load_adapter
from pythonpool.spec.quantities import Memory


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, as its `worker.json` describes it.

    Attributes:
        said: the whole file.
        adapter: as the spec names it.
        config: the adapter's own settings.
        import_path: folders that go first on `sys.path`.
        executor_memory_bytes: limit of one executor's own data; None: no limit.
        one_machine: whether executors must die with the keeper by themselves.
    """

    said: dict[str, Any]
    adapter: str
    config: dict[str, Any]
    import_path: tuple[str, ...]
    executor_memory_bytes: int | None
    one_machine: bool


def read_worker(path: Path, name: str) -> Worker:
    """The worker of that name that the file describes; the keeper has checked its form."""
    said = {**json.loads(path.read_bytes()), "worker": name}
    spec = said["spec"]
    limit = (spec.get("resources") or {}).get("executorMemory")
    return Worker(
        said,
        spec["adapter"],
        spec.get("config") or {},
        tuple(said.get("import_path", ())),
        Memory.parse(limit).bytes if limit else None,
        bool(said.get("one_machine")),
    )


def load(worker: Worker) -> Adapter:
    """The pool's adapter, imported and made; `start()` is still to be called."""
    sys.path[:0] = worker.import_path
    return load_adapter(worker.adapter, worker.config)


def why_not_started(error: BaseException) -> str:
    """What `load` or `start()` raised, for a status: one line, cut at 1,000 characters.

    An `AdapterError` says all in its message; anything else is out of the adapter's `start()`.
    """
    text, name = " ".join(str(error).split()), type(error).__name__
    if isinstance(error, AdapterError) and text:
        return text[:1000]
    return f"start() raised {name}: {text}"[:1000] if text else f"start() raised {name}"
