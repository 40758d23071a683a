"""Finds what vanished while a watch was broken: no event tells of it.

Lists names and uids alone, a few requests each time, and forgets what is no longer there.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from pythonpool_operator.cluster import ApiError, Cluster
from pythonpool_operator.kinds import POOL, POOL_LABEL, WATCHED, Key, Kind
from pythonpool_operator.store import Store

_log = logging.getLogger("pythonpool.operator")

_PERIOD_SECONDS = 300.0


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
    selector = "" if kind is POOL else POOL_LABEL
    found: dict[tuple[str, str], str] = {}
    for namespace in namespaces or ("",):
        found |= await cluster.names(kind, namespace, selector)
    return found
