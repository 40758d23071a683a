"""The watches, by kopf: they fill the store and put pools into our queue.

Nothing is written here and nothing is retried here: `on.event` leaves no finalizer, no annotation
and no status behind. All handlers are coroutines: kopf would run plain functions in threads.
"""

import itertools
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import kopf

from pythonpool_operator.cluster import ApiError, Cluster
from pythonpool_operator.forgetful import NoDiffs, NoProgress
from pythonpool_operator.keyqueue import KeyQueue
from pythonpool_operator.kinds import WATCHED, Json, Kind, watched_selector
from pythonpool_operator.settings import Settings
from pythonpool_operator.store import Store, pool_of

_LOGIN_SECONDS = 3.0

Heard = Callable[[Kind, str, Json], None]
"""Takes an event: kind, type (empty: it is a row of a list) and the object."""


class Backoffs:
    """Endless: kopf ends the whole process when its backoffs run out."""

    def __iter__(self) -> Iterator[float]:
        return (
            min(5.0, 0.25 * 2 ** min(count, 10)) * random.uniform(0.8, 1.2)  # noqa: S311
            for count in itertools.count()
        )


def registry_of(
    cluster: Cluster, store: Store, queue: KeyQueue, heard: Heard, connected: Callable[[], None]
) -> kopf.OperatorRegistry:
    """All handlers. `heard` is told of every event, `connected` is called at each login."""
    registry = kopf.OperatorRegistry()
    _add_login(registry, cluster, connected)
    for kind in WATCHED:
        _add_watch(registry, kind, store, queue, heard)
    return registry


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """How kopf is to behave: write nothing, wait for ever, keep little."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.persistence.diffbase_storage = NoDiffs()
    found.persistence.progress_storage = NoProgress()
    found.peering.standalone = True
    found.networking.error_backoffs = Backoffs()
    found.watching.chunk_size = 200
    found.queueing.idle_timeout = 0.2
    # With named namespaces no right to list namespaces and CRDs is needed.
    found.scanning.disabled = bool(settings.namespaces)
    for kind in WATCHED:
        if selector := watched_selector(kind):
            found.watching.label_selectors[kind.group, kind.version, kind.plural] = selector
    return found


async def watch(registry: kopf.OperatorRegistry, settings: Settings) -> None:
    """Watch until cancelled."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    await kopf.operator(
        registry=registry,
        settings=kopf_settings(settings),
        namespaces=settings.namespaces,
        clusterwide=not settings.namespaces,
        standalone=True,
    )


def _add_login(
    registry: kopf.OperatorRegistry, cluster: Cluster, connected: Callable[[], None]
) -> None:
    count = itertools.count()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        try:
            await cluster.whoami()
        except ApiError as error:
            if error.status in (0, 401):
                # Without a pause kopf would log in some hundred times a second.
                raise kopf.TemporaryError(str(error), delay=_LOGIN_SECONDS) from error
        connected()
        # A session of its own each time: kopf closes the one that was refused. Priorities differ,
        # so that kopf does not take the new login for the refused one.
        return kopf.AiohttpSession(
            server=cluster.server, aiohttp_session=cluster.new_session(), priority=next(count)
        )


def _add_watch(
    registry: kopf.OperatorRegistry,
    kind: Kind,
    store: Store,
    queue: KeyQueue,
    heard: Heard,
) -> None:
    where = (kind.group, kind.version, kind.plural)

    @kopf.on.event(*where, id=f"event-{kind.plural}", registry=registry)
    async def tell(event: kopf.RawEvent, **_: Any) -> None:
        live: Any = event["object"]
        take = store.remove if event["type"] == "DELETED" else store.put
        key = pool_of(kind, live)
        # What the operator itself has just applied is known, and no reason to look again.
        if take(kind, live) and key:
            queue.add(key)
        heard(kind, event["type"] or "", live)
