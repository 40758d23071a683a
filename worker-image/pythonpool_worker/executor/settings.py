"""What an executor is told about its worker and pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pythonpool.spec.quantities import Memory


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """One executor's settings when it starts.

    Attributes:
        pool: name of the pool.
        worker: name of the worker.
        config: `spec.config` as it stands in the manifest.
        isolation: `process` (one call at a time) or `thread` (`concurrency` calls at a time).
        concurrency: slots of the worker; threads of this executor with `thread`.
        max_result_bytes: a longer result is `result_too_large`; CONFIG may change it.
        max_state_bytes: a longer state of a session is not kept; CONFIG may change it.
        persistence: `None`: states are not handed to the agent; `Worker`: after each call.
        memory_bytes: limit of all processes of the worker, or None.
        label_fd: the label page's descriptor, or None.
    """

    pool: str
    worker: str
    config: dict[str, Any]
    isolation: str = "process"
    concurrency: int = 1
    max_result_bytes: int = 64 * 1024 * 1024
    max_state_bytes: int = 1024 * 1024
    persistence: str = "Worker"
    memory_bytes: int | None = None
    label_fd: int | None = None

    @classmethod
    def from_worker_json(
        cls, data: Mapping[str, Any], label_fd: int | None = None
    ) -> "ExecutorSettings":
        """The settings that a `worker.json` (protocols.md, section 6) spells.

        What its spec leaves out has the defaults of API.md section 1.
        """
        spec = data["spec"]
        results, sessions = spec.get("results") or {}, spec.get("sessions") or {}
        resources = spec.get("resources") or {}
        given = {
            "isolation": spec.get("isolation"),
            "concurrency": spec.get("concurrency"),
            "max_result_bytes": _bytes(results.get("maxBytes")),
            "max_state_bytes": _bytes(sessions.get("maxStateBytes")),
            "persistence": sessions.get("persistence"),
            "memory_bytes": _bytes(resources.get("memory")),
        }
        return cls(
            pool=data["pool"],
            worker=data["worker"],
            config=dict(spec.get("config") or {}),
            label_fd=label_fd,
            **{name: value for name, value in given.items() if value is not None},
        )


def _bytes(value: str | int | None) -> int | None:
    return None if value is None else Memory.parse(value).bytes
