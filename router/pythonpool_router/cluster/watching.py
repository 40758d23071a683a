"""Keeps a mirror up to date: list, watch, again; for ever, whatever the API server does."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from pythonpool_router.cluster.api import ApiError, ApiServer, pause
from pythonpool_router.cluster.mirror import Expired, Mirror, WatchError
from pythonpool_router.logs import Logger

_log = Logger()

_WATCH_SECONDS = 600
_HASTE_SECONDS = 1.0
_PAGE = "500"
_GONE = 410


class Watcher:
    """Follows the objects at `path` that have the labels `selector` (empty: all of them)."""

    def __init__(
        self,
        server: ApiServer,
        path: str,
        selector: str,
        mirror: Mirror[Any],
        on_change: Callable[[], None],
    ) -> None:
        self._server = server
        self._path = path
        self._labels = {"labelSelector": selector} if selector else {}
        self._mirror = mirror
        self._on_change = on_change
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._once()
            except Expired:
                self._mirror.expire()
                await self._pause()
            except (ApiError, WatchError, KeyError, TypeError) as error:
                if isinstance(error, ApiError) and error.status == _GONE:
                    self._mirror.expire()
                if not self._failures:
                    _log.warning(
                        "the watch broke; the last answer stays", path=self._path, why=str(error)
                    )
                await self._pause()

    async def _once(self) -> None:
        mirror = self._mirror
        if not mirror.version:
            await self._list()
        seconds = round(_WATCH_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
        events = self._server.watch(
            self._path, seconds, resourceVersion=mirror.version, **self._labels
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        async for event in events:
            changed = mirror.take(event)
            self._worked()
            if changed:
                self._on_change()
        if loop.time() - began < _HASTE_SECONDS:
            await self._pause()  # whoever ends watches at once is not asked in a hot loop

    async def _list(self) -> None:
        objects: list[Any] = []
        after: dict[str, str] = {}
        while True:
            page = await self._server.get(self._path, limit=_PAGE, **self._labels, **after)
            objects += page["items"]
            more = page["metadata"].get("continue")
            if not more:
                break
            after = {"continue": more}
        changed = self._mirror.replace(objects, page["metadata"]["resourceVersion"])
        self._worked()
        if changed:
            self._on_change()

    def _worked(self) -> None:
        if self._failures:
            _log.info("the watch stands again", path=self._path)
        self._failures = 0

    async def _pause(self) -> None:
        self._failures += 1
        await asyncio.sleep(pause(self._failures - 1, random.uniform(0.8, 1.2)))  # noqa: S311
