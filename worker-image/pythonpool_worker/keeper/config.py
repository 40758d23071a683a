"""What the keeper needs to know of `worker.json`; plain tuples, for a fast start."""

import json
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

# No dataclass and no typing.NamedTuple: either one's import costs a third of the keeper's start.
_Config = namedtuple(
    "_Config", "path pool worker adapter isolation memory executor_memory startup one_machine"
)


class Config(_Config):
    """One worker's settings.

    Attributes:
        path: the file itself; `keeper.sock` is beside it.
        pool, worker: names, for the log.
        adapter: as the spec names it.
        isolation: `process` or `thread`.
        memory: quantity, limit of all processes together; None: no limit.
        executor_memory: quantity, limit of one executor; None: no limit.
        startup: seconds that an executor has to become ready.
        one_machine: whether the worker shares its machine with the user's own processes.
    """

    __slots__ = ()

    path: Path
    pool: str
    worker: str
    adapter: str
    isolation: str
    memory: str | None
    executor_memory: str | None
    startup: float
    one_machine: bool

    @property
    def control_socket(self) -> str:
        """Where the agent listens."""
        return str(self.path.with_name("keeper.sock"))


def read_config(path: Path, worker: str | None = None) -> Config:
    """The worker that `path` describes; `worker` is its name when it is not in the file.

    Raises:
        ValueError: the file is not of the form that docs/concepts/protocols.md gives.
    """
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
        spec = said["spec"]
        resources = spec.get("resources", {})
        return Config(
            path,
            said["pool"],
            worker or said["worker"],
            spec["adapter"],
            spec.get("isolation", "process"),
            resources.get("memory"),
            resources.get("executorMemory"),
            float(spec.get("healthCheck", {}).get("startupSeconds", 120)),
            bool(said.get("one_machine")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must be a worker.json: {error!r}") from error


def read_arguments(arguments: list[str]) -> tuple[Path, str | None]:
    """FILE and NAME of `--config FILE [--worker NAME]`; argparse would cost 8 ms of each start.

    Raises:
        SystemExit: anything else was given.
    """
    names, values = arguments[::2], arguments[1::2]
    if names not in (["--config"], ["--config", "--worker"]) or len(values) != len(names):
        print(
            "usage: python -m pythonpool_worker.keeper --config worker.json [--worker NAME]",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return Path(values[0]), values[1] if len(values) > 1 else None
