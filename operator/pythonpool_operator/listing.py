"""Lists: everything once at the start, then what vanished while a watch was broken.

No event tells of what went during a gap: names and uids alone are listed, a few requests each time.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from pythonpool_operator.cluster import ApiError, Cluster
from pythonpool_operator.kinds import WATCHED, Key, Kind, watched_selector
from pythonpool_operator.store import Store

_log = logging.getLogger("pythonpool.operator")

_PERIOD_SECONDS = 300.0
_AGAIN_SECONDS = 2.0


async def list_all(cluster: Cluster, store: Store, namespaces: tuple[str, ...]) -> None:
    """Fill the store before anything is decided; tried again until the API server answers.

    A kopf.index would hold handlers back as well, but its time grows by the square of the objects.
    """
    for kind in WATCHED:
        while not await _list(cluster, store, kind, namespaces):  # noqa: ASYNC110 - the other side
            await asyncio.sleep(_AGAIN_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311


async def _list(cluster: Cluster, store: Store, kind: Kind, namespaces: tuple[str, ...]) -> bool:
    try:
        for namespace in namespaces or ("",):
            async for live in cluster.items(kind, namespace, watched_selector(kind)):
                store.put(kind, live)
    except ApiError as error:
        _log.warning("%s can not be listed: %s", kind.plural, error)
        # Without the CustomResourceDefinition there are no pools; the watch tells when it comes.
        return error.status == 404
    return True


async def prune(
    cluster: Cluster, store: Store, namespaces: tuple[str, ...], changed: Callable[[Key], None]
) -> None:
    """One round over all kinds; `changed` is told of every pool that has lost something.

    Raises:
        ApiError: the API server did not answer; what was not looked at is kept.
    """
    for kind in WATCHED:
        # Known before it was asked: what comes meanwhile is not taken for gone.
        known = list(store.known(kind))
        there = await _there(cluster, kind, namespaces)
        for key, name, uid in known:
            if there.get((key.namespace, name)) != uid:
                _log.info("%s: %s %s is gone", key, kind, name)
                store.forget(kind, key, name, uid)
                changed(key)


async def prune_for_ever(
    cluster: Cluster, store: Store, namespaces: tuple[str, ...], changed: Callable[[Key], None]
) -> None:
    """A round every five minutes ± 20 %, until cancelled."""
    while True:
        await asyncio.sleep(_PERIOD_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        try:
            await prune(cluster, store, namespaces, changed)
        except ApiError as error:
            _log.warning("what is gone was not looked for: %s", error)


async def _there(
    cluster: Cluster, kind: Kind, namespaces: tuple[str, ...]
) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for namespace in namespaces or ("",):
        found |= await cluster.names(kind, namespace, watched_selector(kind))
    return found
