"""The router's home in a cluster: its watches, and what follows from their news.

Made by the router in place of pools.json; one namespace.
"""

import asyncio
import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from pythonpool import names
from pythonpool_router.cluster.api import ApiServer, api_of_kubeconfig, api_of_pod
from pythonpool_router.cluster.deaths import Deaths, Postmortem
from pythonpool_router.cluster.keys import KeyFetcher
from pythonpool_router.cluster.listing import KnownPool, listed_pools, read_pool
from pythonpool_router.cluster.mirror import Mirror
from pythonpool_router.cluster.pods import SELECTOR, Death, Pod, read_pod
from pythonpool_router.cluster.podtokens import PodTokens
from pythonpool_router.cluster.reviews import Reviews
from pythonpool_router.cluster.tokens import Verifier
from pythonpool_router.cluster.watching import Watcher
from pythonpool_router.identity import Identity
from pythonpool_router.logs import Logger
from pythonpool_router.pools import ListedPool, Pools
from pythonpool_router.settings import ClusterSettings

if TYPE_CHECKING:
    from pythonpool_router.router import Router

_log = Logger()

# News of many pods come at once; the table of pools is made anew for all of them.
_GATHER_SECONDS = 0.1
_KEYS_SECONDS = 5.0
READY_SECONDS = 20.0
READY_PERCENT = 90


class ClusterHome:
    """Pools and pods of a namespace, as the API server told them last."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.deaths = Deaths(self._loop.time)
        self.known: Mirror[KnownPool] = Mirror(read_pool)
        self.pods: Mirror[Pod] = Mirror(self._read_pod)
        config = settings.kubeconfig
        self._server = ApiServer(api_of_kubeconfig(config) if config else api_of_pod())
        self._verifier = Verifier(settings.audience)
        self._keys = KeyFetcher(self._server, self._verifier)
        self._reviews = (
            Reviews(self._server, settings.audience) if settings.reviews_tokens else None
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._synced = asyncio.Event()
        self._synced_at = 0.0
        self._is_gathering = False
        self._was_ready = False
        self._router: Router

    def read(self) -> list[ListedPool]:
        """All pools of now, as a PoolSource.

        Raises:
            ValueError: the API server has not told them yet.
        """
        if not self._synced.is_set():
            raise ValueError("the API server has not told the pools yet")
        return listed_pools(self.known.items.values(), self.pods.items.values())

    def identity(self, pools: Pools) -> Identity:
        """Tells whose worker dials, by its pod's token."""
        namespace, reviews = self._settings.namespace, self._reviews
        return PodTokens(namespace, self._verifier, self._keys, pools, self.pods, reviews)

    def begin(self, router: "Router") -> None:
        """Watch, for ever."""
        self._router = router
        postmortem = Postmortem(self.deaths, router.dispatcher.fail)
        router.news.hold = postmortem.hold
        self.deaths.on_new = partial(self._heard_of_death, postmortem)
        namespace = self._settings.namespace
        pools = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}"
        pods = f"/api/v1/namespaces/{namespace}/pods"
        watchers = [
            Watcher(self._server, pools, "", self.known, self._changed),
            Watcher(self._server, pods, SELECTOR, self.pods, self._changed),
        ]
        runs = [*(watcher.run() for watcher in watchers), self._keys.run()]
        self._tasks = [self._loop.create_task(run) for run in runs]

    async def synced(self) -> None:
        """Return when both lists have come once, and the keys too unless they take long."""
        await self._synced.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KEYS_SECONDS):
                await self._keys.known.wait()

    async def close(self) -> None:
        """End the watches."""
        if self._reviews is not None:
            self._reviews.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.close()

    def is_ready(self) -> bool:
        """Whether callers may be sent here: enough workers have dialled; once so, always so."""
        if not self._was_ready and self._synced.is_set():
            late = self._loop.time() - self._synced_at >= READY_SECONDS
            self._was_ready = late or self._have_dialled()
        return self._was_ready

    def _have_dialled(self) -> bool:
        by_name = self._router.pools.by_name
        ready = [pod for pod in self.pods.items.values() if pod.pool and pod.state == "ready"]
        linked = 0
        for pod in ready:
            pool = by_name.get(pod.pool)
            worker = pool.workers.get(pod.name) if pool is not None else None
            linked += worker is not None and worker.is_linked
        return linked * 100 >= len(ready) * READY_PERCENT

    def _read_pod(self, live: dict[str, Any]) -> Pod:
        pod = read_pod(live)
        self.deaths.look(pod)
        return pod

    def _heard_of_death(self, postmortem: Postmortem, pod: Pod, death: Death) -> None:
        pool = self._router.pools.by_name.get(pod.pool)
        if pool is None:
            return
        _log.warning("a worker died", worker=pod.name, cause=death.cause, why=death.message)
        if self._router.news.counts_totals:
            exits = pool.counters.worker_exits
            exits[death.cause] = exits.get(death.cause, 0) + 1
        postmortem.news()

    def _changed(self) -> None:
        if not self._is_gathering and self.known.is_synced and self.pods.is_synced:
            self._is_gathering = True
            self._loop.call_later(_GATHER_SECONDS, self._follow)

    def _follow(self) -> None:
        self._is_gathering = False
        if not self._synced.is_set():
            self._synced_at = self._loop.time()
            self._synced.set()
        router = self._router
        router.read_pools()
        for pool in (*router.pools.by_name.values(), *router.pools.leaving.values()):
            for worker in list(pool.workers.values()):
                pod = self.pods.items.get(worker.name)
                is_there = pod is not None and pod.pool == pool.name and pod.state != "gone"
                if worker.link is not None and not is_there:
                    worker.link.close("its pod is gone")
        routers = sorted(
            (pod for pod in self.pods.items.values() if pod.component == "router" and pod.address),
            key=lambda pod: pod.name,
        )
        serving = [pod for pod in routers if pod.state not in ("gone", "draining")]
        # Of several routers one counts what workers total, so that a sum over routers is right.
        mine = os.environ.get("POD_NAME", "")
        router.news.counts_totals = not serving or serving[0].name == mine
        addresses = [self._settings.link_address(pod.address) for pod in serving]
        if addresses != router.links.routers:
            router.links.routers_changed(addresses)
