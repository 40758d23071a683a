"""All links of this worker: dialled when it is ready, dialled again when they break.

Hands frames to the parts that answer them; knows no call itself.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from pythonpool_worker.agent.link import FrameHandler, Link

_log = logging.getLogger("pythonpool.agent")

_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_GOODBYE_SECONDS = 1.0


class Links:
    """One link to each router address (`unix:PATH`).

    `hello` gives the HELLO frame of the moment; `on_open` and `on_lost` are told of each link.
    """

    def __init__(
        self,
        hello: Callable[[], bytes],
        on_frame: FrameHandler,
        on_open: Callable[[Link], None],
        on_lost: Callable[[Link], None],
    ) -> None:
        self._hello = hello
        self._on_frame = on_frame
        self._on_open = on_open
        self._on_lost = on_lost
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wanted: set[str] = set()
        self._links: set[Link] = set()
        self._is_closing = False

    @property
    def open(self) -> list[Link]:
        """The links whose router has said HELLO."""
        return [link for link in self._links if link.is_open]

    @property
    def are_several(self) -> bool:
        """More than one connection is there."""
        return len(self._links) > 1

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the kernel has not taken yet, and results that wait for a window."""
        return sum(
            link.unsent_bytes + sum(each.unsent for each in link.deliveries.values())
            for link in self.open
        )

    def dial(self, addresses: Iterable[str]) -> None:
        """Keep a link to each of these and to no other; those that are open stay so."""
        self._wanted = set(addresses)
        for address in self._wanted:
            task = self._tasks.get(address)
            if task is None or task.done():
                self._tasks[address] = asyncio.create_task(self._keep(address))

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Say the same to every router."""
        for link in self.open:
            link.send(kind, 0, payload)

    async def close(self) -> None:
        """Write what is queued and hang up."""
        self._is_closing = True
        links = list(self._links)
        for link in links:
            link.close()
        if links:
            await asyncio.wait([link.closed for link in links], timeout=_GOODBYE_SECONDS)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _keep(self, address: str) -> None:
        delay = _FIRST_RETRY_SECONDS
        while address in self._wanted and not self._is_closing:
            link = await self._connect(address)
            if link is not None:
                await self._watch(link)
                if link.router:
                    delay = _FIRST_RETRY_SECONDS
            if self._is_closing or address not in self._wanted:
                return
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            delay = min(_LONGEST_RETRY_SECONDS, delay * 2)

    async def _connect(self, address: str) -> Link | None:
        kind, _, path = address.partition(":")
        if kind != "unix" or not path:
            _log.error("router address %r is not unix:PATH", address)
            return None
        try:
            _, link = await asyncio.get_running_loop().create_unix_connection(
                lambda: Link(self._hello(), self._on_frame, self._opened, self._lost), path
            )
        except OSError:
            return None
        self._links.add(link)
        return link

    async def _watch(self, link: Link) -> None:
        while not link.closed.done():
            await asyncio.wait([link.closed], timeout=_LOOK_SECONDS)
            if not link.closed.done() and link.is_silent():
                _log.warning("router %s is silent: link broken", link.router or "without HELLO")
                link.abort()

    def _opened(self, link: Link) -> None:
        self._links.add(link)
        self._on_open(link)

    def _lost(self, link: Link) -> None:
        self._links.discard(link)
        self._on_lost(link)
