"""What routers, clients and the next `up` read: pools.json, up.json and processes.json.

Written as whole files that take the place of the old ones, soon after anything changed; routers
get a SIGHUP when their file did.
"""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythonpool_local.home import Home
from pythonpool_local.pool import RunningPool
from pythonpool_local.proctable import boot_id, start_ticks
from pythonpool_local.worker import Worker

GATHER_SECONDS = 0.01
"""Changes within this time are written at once."""

RETRY_SECONDS = 1.0


def pools_document(pools: Sequence[RunningPool]) -> dict[str, Any]:
    """The pools and workers that exist, for routers."""
    return {"pools": [_pool(pool) for pool in pools]}


def _pool(pool: RunningPool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "generation": pool.generation,
        "spec": {**pool.order.told_spec, "replicas": pool.order.replicas},
        "secret": pool.secret,
        "settled": pool.is_settled,
        "reason": pool.reason,
        "cause": pool.cause,
        "workers": [_worker(worker) for worker in pool.workers],
    }


def _worker(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "incarnation": worker.incarnation,
        "state": worker.state,
        "pid": worker.pid,
        "started_at": worker.started_at,
    }


@dataclass(frozen=True, slots=True)
class UpDocument:
    """Where this `up` is.

    Attributes:
        url: where callers reach it.
        pools: all of them.
        routers: pid (None while it is away) and socket of each.
    """

    url: str
    pools: Sequence[RunningPool]
    routers: Sequence[tuple[int | None, Path]]

    def content(self) -> dict[str, Any]:
        """The object of API.md 4."""
        return {
            "url": self.url,
            "pid": os.getpid(),
            "pools": [
                {"name": pool.name, "ready": pool.ready_workers > 0, "reason": pool.reason}
                for pool in self.pools
            ],
            "routers": [{"pid": pid, "socket": str(socket)} for pid, socket in self.routers],
        }


class Published:
    """The three files. `changed` says that something is different now."""

    def __init__(
        self,
        home: Home,
        pools: Callable[[], dict[str, Any]],
        up: Callable[[], dict[str, Any]],
        identities: Callable[[], list[tuple[int, int]]],
        pools_written: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        self._home = home
        self._pools = pools
        self._up = up
        self._identities = identities
        self._pools_written = pools_written
        self._report = report
        self._timer: asyncio.TimerHandle | None = None
        self._written: dict[Path, bytes] = {}
        self._is_full = False

    def changed(self) -> None:
        """Write soon, together with what else changes meanwhile."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._write)

    def write_now(self) -> None:
        """Write what differs from the files.

        Raises:
            OSError: the disk does not take it.
        """
        processes = {"boot": boot_id(), "processes": self._identities()}
        self._put(self._home.processes_file, processes)
        self._put(self._home.up_file, {**self._up(), "start_ticks": start_ticks(os.getpid())})
        if self._put(self._home.pools_file, self._pools()):
            self._pools_written()

    def close(self) -> None:
        """Write no more, and take the files away."""
        if self._timer is not None:
            self._timer.cancel()
        # From now on `changed` finds a timer and leaves it at that.
        self._timer = asyncio.get_running_loop().call_later(0, lambda: None)
        for path in (self._home.up_file, self._home.pools_file, self._home.processes_file):
            path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._timer = None
        try:
            self.write_now()
        except OSError as error:
            if not self._is_full:
                self._report(f"{self._home.run} can not be written: {error.strerror}")
            self._is_full = True
            self._timer = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._write)
        else:
            self._is_full = False

    def _put(self, path: Path, content: dict[str, Any]) -> bool:
        data = json.dumps(content, separators=(",", ":")).encode() + b"\n"
        if self._written.get(path) == data:
            return False
        replace_file(path, data)
        self._written[path] = data
        return True


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file, 0600; a reader sees the old one or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
