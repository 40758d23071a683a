"""A queue of pools to look at: each at most once in it and once at work, tried again for ever."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from pythonpool_operator.kinds import Key

_log = logging.getLogger("pythonpool.operator")

_FIRST_SECONDS = 0.5
_MOST_SECONDS = 15.0
_JITTER = 0.2


class TryAgain(Exception):
    """What a work raises when it was stopped by something that passes; the message says by what."""


class KeyQueue:
    """Runs `work` for every key that is added, and again every `resync_seconds` ± 20 %.

    A key that is added while it is being worked on is worked on once more afterwards. A work that
    raises is tried again after 0.5 s, doubling to 15 s, ± 20 %, for ever. One that returns False
    says that the key is gone: it is looked at again only when it is added again.
    """

    def __init__(
        self, work: Callable[[Key], Awaitable[bool]], workers: int, resync_seconds: float
    ) -> None:
        self._work = work
        self._workers = workers
        self._resync_seconds = resync_seconds
        self._ready: dict[Key, None] = {}
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._news = asyncio.Semaphore(0)

    def add(self, key: Key) -> None:
        """Look at this pool soon."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = None
            self._news.release()

    @property
    def length(self) -> int:
        """Keys that wait."""
        return len(self._ready)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._run_one())
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def _run_one(self) -> None:
        while True:
            await self._news.acquire()
            key = next(iter(self._ready))
            del self._ready[key]
            self._running.add(key)
            try:
                stays = await self._work(key)
            except TryAgain as error:
                _log.warning("%s: %s; tried again", key, error)
                self._later(key, self._back_off(key))
            except Exception:  # noqa: BLE001 - an edge: one pool's defect stops no other
                _log.exception("%s: a defect; tried again", key)
                self._later(key, self._back_off(key))
            else:
                self._failures.pop(key, None)
                self._later(key, self._resync_seconds if stays else None)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _back_off(self, key: Key) -> float:
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        return float(min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(count, 10)))

    def _later(self, key: Key, seconds: float | None) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if seconds is None:
            return
        delay = seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
