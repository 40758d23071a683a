"""The operator's start and end."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

from pythonpool.clock import SystemClock
from pythonpool_operator.cluster import connect
from pythonpool_operator.handlers import registry_of, watch
from pythonpool_operator.keyqueue import KeyQueue
from pythonpool_operator.metrics import Metrics, serve
from pythonpool_operator.pruning import prune_for_ever
from pythonpool_operator.reconcile import Reconciler
from pythonpool_operator.settings import Settings, parse
from pythonpool_operator.store import Store


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or Ctrl-C; 0."""
    settings = parse(arguments, os.environ)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    asyncio.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    work = asyncio.create_task(run(settings))
    ended = asyncio.create_task(done.wait())
    await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def run(settings: Settings) -> None:
    """Keep all pools in form until cancelled.

    Raises:
        OSError: the CA file can not be read, or the monitoring port is taken.
    """
    store, metrics, listed = Store(), Metrics(), asyncio.Event()
    async with connect(settings.api) as cluster:
        reconciler = Reconciler(cluster, store, settings, SystemClock())
        work = metrics.measured(reconciler.reconcile)
        queue = KeyQueue(work, settings.workers, settings.resync_seconds)
        registry = registry_of(cluster, store, queue, listed.set)
        async with serve(metrics, settings.monitoring_port, listed.is_set) as port:
            logging.getLogger("pythonpool.operator").info(
                "operator of %s; metrics at port %d",
                ", ".join(settings.namespaces) or "all namespaces",
                port,
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(queue.run())
                group.create_task(prune_for_ever(cluster, store, settings.namespaces, queue.add))
                group.create_task(watch(registry, settings))
