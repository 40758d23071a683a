"""A pool as it was ordered: what a manifest says, made ready to be started on this machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythonpool.errors import InvalidArgument
from pythonpool.manifests import ManifestPool, read_manifests, refuse_for_one_machine
from pythonpool.pool import PythonPool
from pythonpool.sizing import local_replicas
from pythonpool.spec.normalised import normalised_spec

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


@dataclass(frozen=True, slots=True)
class Order:
    """What one pool should be.

    Attributes:
        pool: the resource.
        spec: its normalised spec, as agents, keepers and routers read it.
        folder: of its manifest; on the import path of its workers, and where commands run.
        replicas: how many workers on this machine.
    """

    pool: PythonPool
    spec: dict[str, Any]
    folder: Path
    replicas: int

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.pool.name

    @property
    def startup_seconds(self) -> int:
        """How long a worker may take to become ready."""
        return self.pool.spec.health_check.startup_seconds

    @property
    def told_spec(self) -> dict[str, Any]:
        """The spec for files and routers: `env` may hold secrets, and is for executors alone."""
        return {**self.spec, "env": []}

    @property
    def worker_spec(self) -> dict[str, Any]:
        """The spec for `worker.json`: its resources also under the names of a manifest."""
        resources = self.spec["resources"]
        executor = resources["executorMemoryBytes"]
        quantities = {
            "memory": str(resources["memoryBytes"]),
            "executorMemory": None if executor is None else str(executor),
        }
        return {**self.told_spec, "resources": {**resources, **quantities}}

    @property
    def grace_seconds(self) -> float:
        """How long a worker that goes may finish calls and sessions: as a pod's grace."""
        spec = self.pool.spec
        return max(spec.max_timeout_seconds, spec.sessions.drain_seconds) + 30.0

    @property
    def uses_gpu(self) -> bool:
        """Whether two of its workers would meet on a device."""
        return self.pool.spec.gpu is not None and has_gpu()

    @property
    def impossible(self) -> str:
        """Why no worker can start on this machine; empty when they can."""
        spec = self.pool.spec
        if spec.gpu is None or has_gpu():
            return ""
        if spec.local is not None and spec.local.gpu == "IfPresent":
            return ""
        return "it needs a GPU and this machine has none: set spec.local.gpu to IfPresent"


def has_gpu() -> bool:
    """Whether this machine shows a GPU."""
    return any(os.path.exists(device) for device in _GPU_DEVICES)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def read_orders(files: Sequence[str]) -> list[Order]:
    """All pools of all files.

    Raises:
        InvalidArgument: one line, all mistakes joined by `; `.
    """
    read = read_manifests(files)
    wrong = [
        f"{manifest.file}:{manifest.line}: {line}"
        for manifest in read
        for line in refuse_for_one_machine(manifest.pool)
    ]
    if wrong:
        raise InvalidArgument("; ".join(wrong))
    return [_order(manifest) for manifest in read]


def _order(manifest: ManifestPool) -> Order:
    pool = manifest.pool
    return Order(
        pool=pool,
        spec=normalised_spec(pool),
        folder=manifest.folder,
        replicas=local_replicas(pool.spec, cores()),
    )
