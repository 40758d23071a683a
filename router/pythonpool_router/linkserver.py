"""Where workers dial in: HELLO, who they are, PING, and silence. Then each has its Link."""

import asyncio
import random
import re
from typing import Any

import orjson

from pythonpool import messages, names
from pythonpool.messages import Kind
from pythonpool.turns import hand_over, leave
from pythonpool_router import said
from pythonpool_router.identity import HelloHeld, HelloRefused, Identity
from pythonpool_router.link import Link
from pythonpool_router.logs import Logger
from pythonpool_router.pools import Pool
from pythonpool_router.settings import Errors
from pythonpool_router.workernews import WorkerNews
from pythonpool_router.workers import Worker

_log = Logger()

_INCARNATION = re.compile(r"[0-9a-f]{16}\Z")
_HELLO_SECONDS = 5.0
_SPARE_LINKS = 16


class LinkServer:
    """Takes workers' connections, on whatever transport they come.

    Attributes:
        identity: tells whose worker dials.
        errors: whether callers see tracebacks.
        routers: addresses of all routers, for workers; empty: they know them.
    """

    def __init__(
        self, identity: Identity, news: WorkerNews, instance: str, errors: Errors = "Full"
    ) -> None:
        self.identity = identity
        self.errors: Errors = errors
        self.news = news
        self.instance = instance
        self.routers: list[str] = []
        self.connections: set[LinkConnection] = set()

    def connection(self) -> "LinkConnection":
        """A protocol for one new connection."""
        return LinkConnection(self)

    def close(self) -> None:
        """Cut every link."""
        for connection in list(self.connections):
            connection.cut("the router stops")

    def routers_changed(self, addresses: list[str]) -> None:
        """Tell all workers which routers there are."""
        self.routers = addresses
        for connection in self.connections:
            connection.tell_routers()

    def pools_changed(self) -> None:
        """Tell workers whose pool has a newer spec."""
        for connection in self.connections:
            connection.tell_config()


class LinkConnection(asyncio.Protocol):
    """One worker's connection: before HELLO it is nobody, afterwards frames go to its link."""

    def __init__(self, server: LinkServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._reader = messages.FrameReader()
        self._link: Link | None = None
        self._worker: Worker | None = None
        self._heard_at = 0.0
        self._told_generation = 0
        self._is_held = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A worker has dialled; it has five seconds to say who it is."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        transport.set_write_buffer_limits(high=4 * messages.WINDOW)
        hand_over(transport, self.data_received)
        self._server.connections.add(self)
        self._timer = self._loop.call_later(_HELLO_SECONDS, self.cut, "no HELLO")

    def connection_lost(self, error: Exception | None) -> None:
        """The link is gone, with all that was under way on it."""
        leave(self._transport)
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.lost()

    def pause_writing(self) -> None:
        """The kernel takes no more: bodies wait here."""
        if self._link is not None:
            self._link.full(True)

    def resume_writing(self) -> None:
        """The kernel takes more."""
        if self._link is not None:
            self._link.full(False)

    def data_received(self, data: bytes) -> None:
        """Bytes from the worker."""
        self._heard_at = self._loop.time()
        try:
            if self._link is not None:
                self._link.take(self._reader.feed(data))
            else:
                for kind, number, payload in self._reader.feed(data):
                    self._early(kind, number, payload)
        except messages.ProtocolError as error:
            self.cut(str(error))

    def cut(self, why: str) -> None:
        """Close the connection and say why in the log."""
        name = self._worker.name if self._worker is not None else None
        _log.warning("link cut", worker=name, why=why[:300])
        self._transport.abort()

    def tell_config(self) -> None:
        """Hand the worker its pool's spec, when that is newer than its own."""
        worker, link = self._worker, self._link
        if worker is None or link is None:
            return
        pool = worker.pool
        if pool.generation > max(worker.generation, self._told_generation):
            self._told_generation = pool.generation
            config = {"generation": pool.generation, "spec": pool.spec}
            link.put(Kind.CONFIG, 0, orjson.dumps(config))

    def tell_routers(self) -> None:
        """Hand the worker the addresses of all routers, if it needs them."""
        if self._link is not None and self._server.routers:
            self._link.put(Kind.ROUTERS, 0, orjson.dumps(self._server.routers))

    def _early(self, kind: int, number: int, payload: bytes) -> None:
        """A frame of the first bytes: HELLO, and what follows it."""
        if self._link is None or kind <= Kind.PONG:
            self._frame(kind, payload)
        else:
            self._link.take([(kind, number, payload)])

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == Kind.PONG:
            return
        if kind == Kind.STATUS and self._link is not None:
            self._link.take([(kind, 0, payload)])
            return
        if kind != Kind.HELLO or self._link is not None or self._is_held:
            self.cut(f"a frame of kind {kind} out of place")
            return
        self._greet(payload)

    def _greet(self, payload: bytes) -> None:
        try:
            self._hello(said.an_object(payload))
        except HelloHeld as held:
            self._is_held = True
            held.until.add_done_callback(lambda _: self._greet_again(payload))
        except HelloRefused as error:
            self.cut(str(error))
        except (KeyError, TypeError, ValueError) as error:
            self.cut(f"a bad HELLO: {error!r}")

    def _greet_again(self, payload: bytes) -> None:
        self._is_held = False
        if self in self._server.connections:
            self._greet(payload)

    def _hello(self, hello: dict[str, Any]) -> None:
        pool = self._pool_of(hello)
        worker = worker_of_hello(pool, hello)
        _see_to_room(pool, worker.name)
        self._worker = worker
        pool.strangers.taken(worker.name)
        link = self._link = Link(self._transport, worker, self._server.news, self._server.errors)
        answer = {
            "protocol": [messages.PROTOCOL_MIN, messages.PROTOCOL_MAX],
            "router": self._server.instance,
        }
        link.put(Kind.HELLO, 0, orjson.dumps(answer))
        self.tell_config()
        self.tell_routers()
        self._server.news.joined(worker, link)
        self._ping_later()

    def _pool_of(self, hello: dict[str, Any]) -> Pool:
        low, high = (said.number(version) for version in hello["protocol"])
        pool = self._server.identity.pool_of(hello)
        if low > messages.PROTOCOL_MAX or high < messages.PROTOCOL_MIN:
            if names.is_worker_name(hello["worker"]):
                pool.strangers.refused(hello["worker"], (low, high), self._loop.time())
            raise HelloRefused(f"no protocol in common with {low} to {high}")
        return pool

    def _ping_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = messages.PING_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311
        self._timer = self._loop.call_later(wait, self._ping)

    def _ping(self) -> None:
        if self._loop.time() - self._heard_at > messages.SILENCE_SECONDS:
            self.cut(f"silent for {messages.SILENCE_SECONDS:.0f} s")
            return
        if self._link is not None:
            self._link.put(Kind.PING, 0)
            self._link.look(self._loop.time())
        self._ping_later()


def _see_to_room(pool: Pool, name: str) -> None:
    """New workers stand beside old ones for a while; a pool that has far more of them lies.

    Raises:
        HelloRefused: the pool has as many links as it may have.
    """
    most = 2 * max(pool.spec.get("replicas", 1), len(pool.listed)) + _SPARE_LINKS
    if name not in pool.workers and sum(each.is_linked for each in pool.workers.values()) >= most:
        raise HelloRefused(f"pool {pool.name!r} has {most} links, which is more than its workers")


def worker_of_hello(pool: Pool, hello: dict[str, Any]) -> Worker:
    """The worker that a HELLO speaks of; one that waited for its link is found again.

    Raises:
        KeyError, TypeError, ValueError: the HELLO is not one.
    """
    name, incarnation = hello["worker"], hello["incarnation"]
    if not names.is_worker_name(name) or not _INCARNATION.match(incarnation):
        raise ValueError(f"worker {name!r}, incarnation {incarnation!r}")
    slots = said.number(hello["slots"], 1, said.MAX_SLOTS)
    state, started_at = said.state(hello["state"]), said.moment(hello["started_at"])
    catalogue = said.catalogue_of(hello["catalogue"])
    generation = said.number(hello["generation"])
    # In a pod it would say nothing: each has its own numbers.
    pid = 0 if "token" in hello else said.number(hello["pid"])
    known = pool.workers.get(name)
    if known is not None and known.incarnation == incarnation and known.link is None:
        worker = known
    else:
        worker = Worker(pool, name, incarnation)
    worker.slots = slots
    worker.busy = 0
    worker.state = state
    worker.session_room = int(pool.spec["sessions"]["maxPerWorker"])
    worker.generation = generation
    worker.protocol = min(hello["protocol"][1], messages.PROTOCOL_MAX)
    worker.pid = pid
    worker.started_at = started_at
    worker.catalogue = catalogue
    return worker
