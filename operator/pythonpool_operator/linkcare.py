"""Has the links of every namespace looked at: at the start, after news, and from time to time."""

import asyncio
import logging
import random

from pythonpool.clock import SystemClock
from pythonpool_operator.cluster import ApiError, Cluster
from pythonpool_operator.keyqueue import KeyQueue
from pythonpool_operator.kinds import Json, Key, Kind
from pythonpool_operator.links import Links
from pythonpool_operator.settings import Settings
from pythonpool_operator.store import Store

_log = logging.getLogger("pythonpool.operator")

_WORKERS = 4


class LinkCare:
    """Does nothing when the settings leave the links alone."""

    def __init__(self, cluster: Cluster, store: Store, settings: Settings) -> None:
        self._resync_seconds = settings.resync_seconds
        self._links = (
            Links(cluster, store, settings, settings.links, SystemClock())
            if settings.links
            else None
        )
        # Timers for each would not find new namespaces: all are looked for again.
        self._queue = KeyQueue(self._look, _WORKERS, 0.0)

    def heard(self, kind: Kind, event: str, live: Json) -> None:
        """An event of the watches."""
        place = self._links.concerns(kind, event, live) if self._links else None
        if place:
            self._queue.add(place)

    async def run(self) -> None:
        """Until cancelled."""
        if self._links:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run())
                group.create_task(self._look_around(self._links))

    async def _look(self, place: Key) -> bool:
        return self._links is not None and await self._links.reconcile(place)

    async def _look_around(self, links: Links) -> None:
        while True:
            try:
                for place in await links.places():
                    self._queue.add(place)
            except ApiError as error:
                _log.warning("routers can not be listed: %s", error)
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            await asyncio.sleep(self._resync_seconds * jitter)
