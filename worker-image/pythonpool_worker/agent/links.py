"""All links of this worker: dialled when it is ready, dialled again when they break.

Routers are found by the address book: given, looked up in DNS, or told by other routers.

Hands frames to the parts that answer them; knows no call itself.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from pythonpool_worker.agent.addresses import AddressBook
from pythonpool_worker.agent.dialling import Dialler
from pythonpool_worker.agent.link import FrameHandler, Link

_log = logging.getLogger("pythonpool.agent")

_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 1.0
_LONGEST_LOOK_UP_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_GOODBYE_SECONDS = 1.0


class Links:
    """One link to each router.

    `hello` gives the HELLO frame of the moment and may raise OSError; `on_open` and `on_lost` are
    told of each link.
    """

    def __init__(
        self,
        dialler: Dialler,
        hello: Callable[[], bytes],
        on_frame: FrameHandler,
        on_open: Callable[[Link], None],
        on_lost: Callable[[Link], None],
    ) -> None:
        self._dialler = dialler
        self._hello = hello
        self._on_frame = on_frame
        self._on_open = on_open
        self._on_lost = on_lost
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._book = AddressBook(())
        self._look_up: asyncio.Task[None] | None = None
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

    def beside(self, link: Link) -> dict[str, int]:
        """How many routers there are, and how many calls wait at others than this one."""
        waiting = [other.line for other in self.open if other is not link]
        return {"routers": len(waiting) + 1, "elsewhere": sum(waiting)}

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the kernel has not taken yet, and results that wait for a window."""
        return sum(
            link.unsent_bytes + sum(each.unsent for each in link.deliveries.values())
            for link in self.open
        )

    def dial(self, given: Iterable[str]) -> None:
        """Keep a link to each of these routers, and to those that they tell of."""
        self._book = AddressBook(given)
        self._follow_book()
        self._look_up_when_alone()

    def told(self, link: Link, addresses: Iterable[str]) -> None:
        """A router says which routers there are; links that are open stay so."""
        self._book.told(link.router, addresses)
        self._follow_book()

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
        tasks = [*self._tasks.values(), *([self._look_up] if self._look_up else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow_book(self) -> None:
        self._wanted = self._book.wanted
        for address in self._wanted:
            task = self._tasks.get(address)
            if task is None or task.done():
                self._tasks[address] = asyncio.create_task(self._keep(address))
        for address in [each for each, task in self._tasks.items() if task.done()]:
            del self._tasks[address]

    def _look_up_when_alone(self) -> None:
        """DNS is for first contact, and for when every router that was known is gone."""
        is_looking = self._look_up is not None and not self._look_up.done()
        if self._book.services and not self.open and not is_looking and not self._is_closing:
            self._look_up = asyncio.create_task(self._find_routers())

    async def _find_routers(self) -> None:
        delay = _FIRST_RETRY_SECONDS
        while not self.open:
            for service in self._book.services:
                self._book.found(service, await self._dialler.look_up(service))
            self._follow_book()
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            delay = min(_LONGEST_LOOK_UP_SECONDS, delay * 2)

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
        try:
            hello = self._hello()
        except OSError as error:
            _log.warning("no credential: %s", error)
            return None
        link = await self._dialler.dial(
            address, lambda: Link(hello, self._on_frame, self._opened, self._lost)
        )
        if link is not None and not link.closed.done():
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
        self._book.lost(link.router)
        self._look_up_when_alone()
