"""Asks the routers what their workers do: one request a router for a whole namespace.

From time to time, so that a worker that is to be replaced is seen within seconds, and just before
pods are taken away. These requests are no API server's: they cost it nothing.
"""

import asyncio
import ipaddress
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from pythonpool_operator.kinds import Json, Key
from pythonpool_operator.load import NOTHING, PoolLoad, changed, read_load
from pythonpool_operator.settings import Settings

_log = logging.getLogger("pythonpool.operator")

_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)
_TRIES = 3
_FIND_SECONDS = 2.0
_KEPT_SECONDS = 120.0
_AT_ONCE = 16


class Routers:
    """The last word of the routers of each namespace."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._known: dict[str, tuple[float, Mapping[str, PoolLoad]]] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    def load(self, key: Key) -> PoolLoad:
        """What is known of a pool; nothing when no router has answered for a while."""
        return self._of(key.namespace).get(key.name, NOTHING)

    async def fresh(self, key: Key) -> PoolLoad:
        """What the routers say now, as far as they answer within seconds."""
        for _ in range(_TRIES):
            if await self.ask(key.namespace):
                break
        return self.load(key)

    async def ask(self, namespace: str) -> bool:
        """Ask all routers of a namespace; who asks meanwhile gets the same answers.

        False: there are some, and none has answered.
        """
        task = self._asking.get(namespace)
        if task is None:
            task = self._asking[namespace] = asyncio.create_task(self._ask(namespace))
            task.add_done_callback(lambda _: self._asking.pop(namespace, None))
        return await asyncio.shield(task)

    async def watch(
        self, namespaces: Callable[[], Iterable[str]], look: Callable[[Key], None]
    ) -> None:
        """Ask again and again, until cancelled; `look` is told of pools that have news."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def ask(namespace: str) -> None:
            before = self._of(namespace)
            async with room:
                await self.ask(namespace)
            for name in changed(before, self._of(namespace)):
                look(Key(namespace, name))

        while True:
            pause = self._settings.load_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            await asyncio.sleep(pause)
            await asyncio.gather(*(ask(namespace) for namespace in set(namespaces())))

    def _of(self, namespace: str) -> Mapping[str, PoolLoad]:
        at, known = self._known.get(namespace, (0.0, {}))
        return known if time.monotonic() - at <= _KEPT_SECONDS else {}

    async def _ask(self, namespace: str) -> bool:
        addresses = await self._find(namespace)
        said = await asyncio.gather(*(self._get(address) for address in addresses))
        answers = [answer for answer in said if answer is not None]
        if not answers:
            return not addresses
        try:
            self._known[namespace] = (time.monotonic(), read_load(answers))
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("%s: the routers' load is not understood: %r", namespace, error)
        return True

    async def _find(self, namespace: str) -> set[str]:
        """The addresses of all routers: those of their headless Service."""
        host = self._settings.load_host or f"{self._settings.router_service}.{namespace}.svc"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_FIND_SECONDS):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            return set()
        return {str(address[0]) for *_, address in found}

    async def _get(self, address: str) -> Json | None:
        host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
        url = f"http://{host}:{self._settings.load_port}/load"
        try:
            async with self._session.get(url) as response:
                response.raise_for_status()
                answer: Any = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            _log.debug("%s: %r", url, error)
            return None
        return answer if isinstance(answer, dict) else None


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Routers]:
    """Routers to ask, until the block ends."""
    routers = Routers(settings)
    try:
        yield routers
    finally:
        await routers.close()
