"""The pools that this router serves: what their specs say, and the workers of each.

Read from a PoolSource (on one machine: run/pools.json, again on SIGHUP); told of workers by links.
"""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from pythonpool.errors import PoolNotFound, WorkerNotFound
from pythonpool_router.counters import PoolCounters
from pythonpool_router.line import Line
from pythonpool_router.promise import SETTLED_BY, Promise
from pythonpool_router.share import Share
from pythonpool_router.strangers import Strangers
from pythonpool_router.workers import Worker

ANY_LIFE = "*"
"""In place of an incarnation: the source knows the worker, and not which life of it this is."""


_MOST_RUNS = 1024
"""Served calls of a command that are held before they are counted."""


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """A worker that the source says exists; its link may not be there yet."""

    name: str
    incarnation: str | None
    state: str
    pid: int | None
    started_at: float | str | None

    def may_be(self, incarnation: str) -> bool:
        """Whether this may be the life of that name."""
        return self.incarnation in (incarnation, ANY_LIFE)


@dataclass(frozen=True, slots=True)
class ListedPool:
    """One pool as its source tells it.

    `reason` and `cause` are set while it can not serve; `settled`: its first start is decided.
    """

    name: str
    generation: int
    spec: dict[str, Any]
    secret: str
    settled: bool = True
    reason: str | None = None
    cause: str | None = None
    workers: dict[str, ListedWorker] = field(default_factory=dict)


class PoolSource(Protocol):
    """The seam between files and a cluster."""

    def read(self) -> list[ListedPool]:
        """All pools of now.

        Raises:
            OSError, ValueError: they can not be told; the last answer stays.
        """
        ...


class PoolsFile:
    """The supervisor's `run/pools.json`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[ListedPool]:
        """All pools of the file.

        Raises:
            OSError, ValueError: it can not be read.
        """
        document = orjson.loads(self._path.read_bytes())
        try:
            return [_listed_pool(row) for row in document["pools"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is not a list of pools: {error!r}") from error


def _listed_pool(row: dict[str, Any]) -> ListedPool:
    workers = [
        ListedWorker(
            worker["name"],
            worker.get("incarnation"),
            worker.get("state", "starting"),
            worker.get("pid"),
            worker.get("started_at"),
        )
        for worker in row.get("workers", ())
    ]
    return ListedPool(
        row["name"],
        row["generation"],
        row["spec"],
        row["secret"],
        row.get("settled", True),
        row.get("reason"),
        row.get("cause"),
        {worker.name: worker for worker in workers},
    )


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of ready workers; a draining worker counts for the calls it still runs."""

    available: int
    busy: int
    total: int


class Pool:
    """One pool: its spec, its workers, its line and its counters.

    Attributes:
        workers: by name; linked, or with calls that wait for them.
        idle: the workers that may have a free slot, longest idle first (a set in order).
        queued: calls that wait, in the line and for their sessions.
        pumping: a freed slot or a new worker is being given out.
        strangers: its workers that speak no protocol of this router.
        is_gone: it was deleted; what runs on its workers is finished.
    """

    def __init__(self, listed: ListedPool) -> None:
        self.workers: dict[str, Worker] = {}
        self.idle: dict[Worker, None] = {}
        self.line = Line()
        self.queued = 0
        self.is_gone = False
        self.strangers = Strangers()
        self.counters = PoolCounters()
        self.promise = Promise()
        self.share = Share()
        self.commands: dict[str, dict[str, Any]] = {}
        self.timeouts_ms: dict[str, int] = {}
        self._runs: dict[str, list[int]] = {}
        self.take(listed)

    def take(self, listed: ListedPool) -> None:
        """Follow what the source says now."""
        self.is_gone = False
        self.name = listed.name
        self.generation = listed.generation
        self.spec = spec = listed.spec
        self.secret = listed.secret.encode()
        self.settled = listed.settled
        self.reason = listed.reason
        self.cause = listed.cause
        self.listed = listed.workers
        self.timeout_seconds: float = spec["timeoutSeconds"]
        self.max_timeout_seconds: float = spec["maxTimeoutSeconds"]
        self.queue_length: int = spec["queue"]["maxLength"]
        self.queue_timeout_seconds: float = spec["queue"]["timeoutSeconds"]
        self.operations: list[str] = list(spec.get("operations") or ())
        self.learn_commands()

    def learn_commands(self) -> None:
        """Gather the catalogue from the workers that are linked; the newest generation's wins."""
        self.settle()
        self._runs = {}
        commands: dict[str, dict[str, Any]] = {}
        for worker in sorted(self.workers.values(), key=lambda worker: worker.generation):
            if worker.is_linked and worker.state != "failed":
                commands.update(worker.catalogue)
        if commands:
            self.commands = commands
        self.timeouts_ms = {
            name: max(
                round(
                    min(
                        row.get("timeout_seconds") or self.timeout_seconds, self.max_timeout_seconds
                    )
                    * 1000
                ),
                1,
            )
            for name, row in self.commands.items()
        }

    def leave(self) -> None:
        """The source does not tell of it any more."""
        self.is_gone = True
        self.listed = {}

    def served(self, command: str, run_us: int) -> None:
        """A call ended with its result after it ran; `settle` counts it."""
        runs = self._runs.get(command)
        if runs is None:
            runs = self._runs.setdefault(command if command in self.commands else "", [])
        runs.append(run_us)
        if len(runs) >= _MOST_RUNS:
            self.settle()

    def settle(self) -> None:
        """Count what has been served; asked before counters are read or a place is promised."""
        for command, runs in self._runs.items():
            if runs:
                self.counters.served(command, runs)
                for run_us in runs[-SETTLED_BY:]:
                    self.promise.served(run_us / 1e6)
                runs.clear()

    def learn_share(self) -> None:
        """Gather what the linked workers know of other routers and of who waits there."""
        linked = [worker for worker in self.workers.values() if worker.is_linked]
        self.share.learn(
            max((worker.routers for worker in linked), default=1),
            max((worker.elsewhere for worker in linked), default=0),
            self.queued,
        )

    @property
    def is_ready(self) -> bool:
        """Whether a ready worker is linked."""
        for worker in self.workers.values():  # plain: each call that waits asks
            if worker.link is not None and worker.state == "ready":
                return True
        return False

    @property
    def sessions(self) -> int:
        """Sessions on all linked workers."""
        return sum(worker.sessions for worker in self.workers.values() if worker.is_linked)

    def slots(self) -> Slots:
        """Slots as `GET /v1/pools` counts them: available + busy = total."""
        busy = total = 0
        for worker in self.workers.values():
            if not worker.is_linked:
                continue
            taken = worker.taken
            if worker.state == "ready":
                total += worker.slots
                busy += taken
            elif worker.state == "draining":
                total += taken
                busy += taken
        return Slots(total - busy, busy, total)

    def worker(self, name: str) -> Worker:
        """The linked worker of that name.

        Raises:
            WorkerNotFound: there is none.
        """
        worker = self.workers.get(name)
        if worker is None or not worker.is_linked:
            raise WorkerNotFound(f'pool "{self.name}" has no worker "{name}"')
        return worker


class Pools:
    """All pools by name.

    Attributes:
        leaving: pools that were deleted and whose workers are still linked, by name.
        nowhere: counts calls for pools that are not there.
    """

    def __init__(self, source: PoolSource) -> None:
        self._source = source
        self.by_name: dict[str, Pool] = {}
        self.leaving: dict[str, Pool] = {}
        self.nowhere = PoolCounters()

    def get(self, name: str) -> Pool:
        """The pool of that name.

        Raises:
            PoolNotFound: there is none; the detail lists near names.
        """
        pool = self.by_name.get(name)
        if pool is None:
            raise PoolNotFound(f'no pool "{name}"{near(name, self.by_name)}')
        return pool

    def read(self) -> list[Pool]:
        """Ask the source again; return the pools that are gone, whose lines are to be ended.

        A pool that comes back finds the workers again that have stayed linked.

        Raises:
            OSError, ValueError: it can not be read; everything stays as it was.
        """
        listed = {row.name: row for row in self._source.read()}
        gone = [pool for name, pool in self.by_name.items() if name not in listed]
        fresh: dict[str, Pool] = {}
        for name, row in listed.items():
            pool = self.by_name.get(name) or self.leaving.pop(name, None)
            if pool is None:
                pool = Pool(row)
            else:
                pool.take(row)
            fresh[name] = pool
        self.by_name = fresh
        for pool in gone:
            pool.leave()
            self.leaving[pool.name] = pool
        self._forget_the_left()
        return gone

    def _forget_the_left(self) -> None:
        for name, pool in list(self.leaving.items()):
            if not any(worker.is_linked for worker in pool.workers.values()):
                del self.leaving[name]


def near(name: str, names: "dict[str, Any]") -> str:
    """How a detail goes on after a name that is not known: near names, else all of a few."""
    close = difflib.get_close_matches(name, names, n=3)
    if not close and len(names) <= 8:
        close = sorted(names)
    return f"; there is {', '.join(close)}" if close else ""
