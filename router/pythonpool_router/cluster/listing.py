"""Pools and pods as the watches tell them, to the rows that the router goes by. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pythonpool.errors import InvalidArgument
from pythonpool.pool import parse_pool
from pythonpool.spec.normalised import normalised_spec
from pythonpool_router.cluster.pods import Pod
from pythonpool_router.logs import Logger
from pythonpool_router.pools import ANY_LIFE, ListedPool, ListedWorker

Json = dict[str, Any]

_log = Logger()

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OF_METADATA = ("name", "namespace", "uid", "generation")


@dataclass(frozen=True, slots=True)
class KnownPool:
    """A PythonPool: its spec, and what the operator says is wrong with it.

    Attributes:
        cause: why it is Degraded, as `unavailable` has it; None: it is not.
        reason: the same for people.
    """

    name: str
    generation: int
    spec: Json
    cause: str | None
    reason: str | None


def read_pool(live: Json) -> KnownPool | None:
    """A live PythonPool; None: this router can not read it, and the log says why."""
    meta = {name: live["metadata"][name] for name in _OF_METADATA if name in live["metadata"]}
    try:
        pool = parse_pool({**live, "metadata": meta, "status": None})
    except InvalidArgument as error:
        _log.error("a pool can not be read", pool=meta.get("name"), why=error.detail)
        return None
    cause, reason = _degraded(live.get("status") or {})
    return KnownPool(
        name=pool.name,
        generation=int(meta.get("generation", 1)),
        spec=normalised_spec(pool),
        cause=cause,
        reason=reason,
    )


def listed_pools(pools: Iterable[KnownPool], pods: Iterable[Pod]) -> list[ListedPool]:
    """The rows of all pools with the workers of each; pods of other pools are passed over."""
    rows = {
        pool.name: ListedPool(
            name=pool.name,
            generation=pool.generation,
            spec=pool.spec,
            secret="",
            reason=pool.reason,
            cause=pool.cause,
            workers={},
        )
        for pool in pools
    }
    for pod in pods:
        row = rows.get(pod.pool)
        if row is not None and pod.state != "gone":
            row.workers[pod.name] = ListedWorker(
                pod.name, ANY_LIFE, pod.state, None, pod.started_at
            )
    return list(rows.values())


def _degraded(status: Json) -> tuple[str | None, str | None]:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Degraded" and condition["status"] == "True":
            word = str(condition.get("reason") or "Unknown")
            return _WORD.sub("_", word).lower(), str(condition.get("message") or word)
    return None, None
