"""One pool, from what is to what should be: observe, decide, apply, say how it is.

Level-triggered: called after anything that may have changed, and from time to time; does nothing
when all is as it should be.
"""

import asyncio
import logging
from dataclasses import dataclass

from pythonpool.clock import Clock, timestamp
from pythonpool_operator.causes import Cause, cause_of_pool, one_line, too_old
from pythonpool_operator.cluster import ApiError, Cluster
from pythonpool_operator.compare import fingerprint, is_level, project
from pythonpool_operator.conditions import count_workers, status_manifest, status_of
from pythonpool_operator.events import news
from pythonpool_operator.keyqueue import TryAgain
from pythonpool_operator.kinds import DEPLOYMENT, EVENT, POD, POOL, Json, Key, Kind
from pythonpool_operator.namesakes import Namesakes
from pythonpool_operator.plan import Objects, is_leaving, is_ours, names_of, plan
from pythonpool_operator.replicas import COST_ANNOTATION, Size, size_of
from pythonpool_operator.routers import Routers
from pythonpool_operator.settings import Settings
from pythonpool_operator.store import Store

_log = logging.getLogger("pythonpool.operator")


@dataclass(frozen=True, slots=True)
class _Applied:
    """What was applied, and what became of it: an API server may write a value in its own form."""

    desired: str
    live: str


class Reconciler:
    """Brings pools to their form."""

    def __init__(
        self, cluster: Cluster, routers: Routers, store: Store, settings: Settings, clock: Clock
    ) -> None:
        self._cluster = cluster
        self._namesakes = Namesakes(cluster)
        self._routers = routers
        self._store = store
        self._settings = settings
        self._clock = clock
        self._applied: dict[Key, dict[Kind, _Applied]] = {}

    async def reconcile(self, key: Key) -> bool:
        """Look at one pool and do what is to be done; False: it is gone.

        Raises:
            TryAgain: something that passes is in the way.
        """
        live = self._store.pool(key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            self._applied.pop(key, None)
            return live is not None
        try:
            objects = await self._observe(key, live)
            pods = self._store.pods(key)
            size = await self._size(key, live, objects.get(DEPLOYMENT), pods)
            decided = plan(live, objects, pods, self._settings, size.replicas)
            trouble = decided.trouble
            for kind, manifest in decided.wanted:
                if kind is DEPLOYMENT:
                    await self._price(key, size)
                trouble = await self._level(key, kind, manifest, objects.get(kind))
                if trouble:
                    break
            await self._report(key, live, trouble, size)
        except ApiError as error:
            raise TryAgain(str(error)) from error
        return True

    async def _observe(self, key: Key, pool: Json) -> Objects:
        """The pool's objects; those that the watch does not know may be a stranger's."""
        names = names_of(key.name)
        known = {kind: self._store.child(key, kind, name) for kind, name in names}
        asked = [(kind, name) for kind, name in names if known[kind] is None]
        answers = await asyncio.gather(
            *(self._namesakes.find(kind, key.namespace, name) for kind, name in asked)
        )
        known |= {kind: answer for (kind, _), answer in zip(asked, answers, strict=True)}
        objects = {kind: found for kind, found in known.items() if found is not None}
        for kind, found in objects.items():
            if is_leaving(found, pool):
                raise TryAgain(f"{kind} {found['metadata']['name']} is still being deleted")
        return objects

    async def _size(self, key: Key, pool: Json, live: Json | None, pods: list[Json]) -> Size:
        """How many pods now; nothing is taken away, or begun, on an old word of the routers."""
        desired, surges = pool["spec"].get("replicas", 1), not pool["spec"].get("gpu")
        if live is None or not is_ours(live, pool):
            return Size(desired)
        size = size_of(desired, live, pods, self._routers.load(key), surges=surges)
        before = live["spec"].get("replicas", 0)
        if size.replicas < before or size.replicas > max(before, desired):
            fresh = await self._routers.fresh(key)
            size = size_of(desired, live, self._store.pods(key), fresh, surges=surges)
        return size

    async def _price(self, key: Key, size: Size) -> None:
        """Say which pods are to go first, just before there are fewer."""
        for name, cost in size.costs.items():
            annotations = {COST_ANNOTATION: str(cost)}
            try:
                pod = await self._cluster.annotate(POD, key.namespace, name, annotations)
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                self._store.put(POD, pod)

    async def _level(self, key: Key, kind: Kind, wanted: Json, live: Json | None) -> Cause | None:
        """Apply an object unless it is as it should be; why it was refused."""
        applied = self._applied.setdefault(key, {})
        before = applied.get(kind)
        if live and (is_level(wanted, live) or before == _record(wanted, live)):
            return None
        try:
            now = await self._cluster.apply(kind, wanted, live)
        except ApiError as error:
            return _refusal(kind, wanted, error)
        self._store.put(kind, now)
        applied[kind] = _record(wanted, now)
        _log.info("%s: %s %s", key, kind, "changed" if live else "made")
        return None

    async def _report(self, key: Key, live: Json, trouble: Cause | None, size: Size) -> None:
        deployment = self._store.child(key, DEPLOYMENT, key.name)
        gpu = live["spec"].get("gpu") or {}
        pods, load = self._store.pods(key), self._routers.load(key)
        resource = gpu.get("resourceName") if gpu else None
        old = too_old(pods, load)
        cause = trouble or old.cause or cause_of_pool(deployment, pods, resource)
        desired = live["spec"].get("replicas", 1)
        workers = count_workers(desired, deployment, size, old.count)
        seconds = self._clock.time()
        status = status_of(live, workers, cause, timestamp(seconds))
        before = live.get("status")
        if before and is_level(status, before):
            return
        now = await self._cluster.apply_status(POOL, status_manifest(live, status))
        if now["metadata"]["generation"] == live["metadata"]["generation"]:
            # Otherwise the spec has changed meanwhile: the watch must bring it as news.
            self._store.put(POOL, now)
        for event in news(live, before, status, seconds):
            await self._tell(key, event)

    async def _tell(self, key: Key, event: Json) -> None:
        _log.info("%s: %s: %s", key, event["reason"], event["note"])
        try:
            await self._cluster.create(EVENT, event)
        except ApiError as error:
            # The status says the same.
            _log.warning("%s: the event was not taken: %s", key, error)


def _record(wanted: Json, live: Json) -> _Applied:
    return _Applied(fingerprint(wanted), fingerprint(project(wanted, live)))


def _refusal(kind: Kind, wanted: Json, error: ApiError) -> Cause:
    """What a refused manifest says in the status; raises what only has to be tried again."""
    name = wanted["metadata"]["name"]
    if error.is_permanent:
        return Cause("Refused", one_line(f"{kind} {name}: {error.message}"), is_final=True)
    if error.status == 403:
        reason = "QuotaExceeded" if "exceeded quota" in error.message else "Forbidden"
        return Cause(reason, one_line(f"{kind} {name}: {error.message}"), is_final=True)
    raise error
