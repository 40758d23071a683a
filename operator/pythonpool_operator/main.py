"""The operator's start and end."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from pythonpool.clock import SystemClock
from pythonpool_operator.cluster import Cluster, connect
from pythonpool_operator.handlers import registry_of, watch
from pythonpool_operator.keyqueue import KeyQueue
from pythonpool_operator.linkcare import LinkCare
from pythonpool_operator.listing import list_all, prune_for_ever
from pythonpool_operator.metrics import Metrics, serve
from pythonpool_operator.reconcile import Reconciler
from pythonpool_operator.routers import asking
from pythonpool_operator.settings import Settings, parse
from pythonpool_operator.store import Store


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or Ctrl-C; 0."""
    settings = parse(arguments, os.environ)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    asyncio.run(run(settings))
    return 0


async def run(settings: Settings) -> None:
    """Keep all pools in form until SIGTERM or SIGINT, which kopf waits for.

    Raises:
        OSError: the CA file can not be read, or the monitoring port is taken.
    """
    store, metrics, connected = Store(), Metrics(), asyncio.Event()
    async with connect(settings.api) as cluster, asking(settings) as routers:
        reconciler = Reconciler(cluster, routers, store, settings, SystemClock())
        work = metrics.measured(reconciler.reconcile)
        queue = KeyQueue(work, settings.workers, settings.resync_seconds)
        care = LinkCare(cluster, store, settings)
        registry = registry_of(cluster, store, queue, care.heard, connected.set)
        async with serve(metrics, settings.monitoring_port, connected.is_set) as port:
            logging.getLogger("pythonpool.operator").info(
                "operator of %s; metrics at port %d",
                ", ".join(settings.namespaces) or "all namespaces",
                port,
            )
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(_work(cluster, store, queue, settings, care)),
                    group.create_task(
                        prune_for_ever(cluster, store, settings.namespaces, queue.add)
                    ),
                    group.create_task(routers.watch(store.namespaces, queue.add)),
                ]
                await watch(registry, settings)
                for task in beside:
                    task.cancel()


async def _work(
    cluster: Cluster, store: Store, queue: KeyQueue, settings: Settings, care: LinkCare
) -> None:
    """Decide nothing before all is known, and then look at every pool."""
    await list_all(cluster, store, settings.namespaces)
    for key in store.pools():
        queue.add(key)
    async with asyncio.TaskGroup() as group:
        group.create_task(care.run())
        await queue.run()
