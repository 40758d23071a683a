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
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import aiohttp
import orjson

from pythonpool_operator.kinds import Key
from pythonpool_operator.load import NOTHING, Loads, PoolLoad, changed, merged, read_load
from pythonpool_operator.settings import Settings

_log = logging.getLogger("pythonpool.operator")

_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)
_TRIES = 3
_FIND_SECONDS = 2.0
_KEPT_SECONDS = 120.0
_AT_ONCE = 16
# Whoever may write Services of a namespace may answer in place of its routers: none of them costs
# the operator more than this.
_MOST_BYTES = 1_048_576
_MOST_ROUTERS = 64


class Routers:
    """The last word of the routers of each namespace."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._known: dict[str, tuple[float, Loads]] = {}
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
            places = set(namespaces())
            await asyncio.gather(*(ask(namespace) for namespace in places))
            self._known = {place: said for place, said in self._known.items() if place in places}

    def _of(self, namespace: str) -> Loads:
        at, known = self._known.get(namespace, (0.0, {}))
        return known if time.monotonic() - at <= _KEPT_SECONDS else {}

    async def _ask(self, namespace: str) -> bool:
        addresses = await self._find(namespace)
        said = await asyncio.gather(*(self._get(address) for address in addresses))
        answers = [answer for answer in said if answer is not None]
        if not answers:
            return not addresses
        self._known[namespace] = (time.monotonic(), merged(answers))
        return True

    async def _find(self, namespace: str) -> list[str]:
        """The addresses of the routers: those of their headless Service."""
        host = self._settings.load_host or f"{self._settings.router_service}.{namespace}.svc"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_FIND_SECONDS):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            return []
        return sorted({str(address[0]) for *_, address in found})[:_MOST_ROUTERS]

    async def _get(self, address: str) -> Loads | None:
        host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
        url = f"http://{host}:{self._settings.load_port}/load"
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                text = await _text(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.debug("%s: %r", url, error)
            return None
        try:
            return read_load(orjson.loads(text))
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            _log.warning("%s: this load is not understood: %r", url, error)
            return None


async def _text(response: aiohttp.ClientResponse) -> bytes:
    """The body of an answer of a router.

    Raises:
        OSError: it is none.
    """
    if response.status != 200:
        raise OSError(f"status {response.status}")
    text = bytearray()
    async for chunk in response.content.iter_any():
        text += chunk
        if len(text) > _MOST_BYTES:
            raise OSError(f"more than {_MOST_BYTES} bytes")
    return bytes(text)


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Routers]:
    """Routers to ask, until the block ends."""
    routers = Routers(settings)
    try:
        yield routers
    finally:
        await routers.close()
