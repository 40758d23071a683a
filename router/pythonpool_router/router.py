"""One router: its parts put together, its listeners, and how it starts, drains and ends."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from pythonpool import names
from pythonpool.clock import Clock, SystemClock
from pythonpool_router.access import Access, TokenFile
from pythonpool_router.dispatch import Dispatcher
from pythonpool_router.front import Connection
from pythonpool_router.health import HealthMonitor
from pythonpool_router.linkserver import LinkServer
from pythonpool_router.pools import Pools, PoolsFile
from pythonpool_router.sessions import Sessions
from pythonpool_router.settings import Settings
from pythonpool_router.site import ASGIApp, Guard, Site
from pythonpool_router.workernews import WorkerNews

_log = structlog.get_logger("pythonpool.router")

SWEEP_SECONDS = 0.5
_BACKLOG = 4096


class Router:
    """Everything that one router process holds; made inside its event loop.

    Attributes:
        instance: this life of the router.
        is_draining: SIGTERM was seen.
    """

    def __init__(
        self,
        settings: Settings,
        create_app: "AppFactory",
        create_monitoring_app: "AppFactory",
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.instance = names.new_incarnation()
        self.is_draining = False
        self.access: Access = TokenFile(settings.token_file)
        self.pools = Pools(PoolsFile(settings.pools))
        self.dispatcher = Dispatcher(self.pools, self.instance)
        self.news = WorkerNews(self.dispatcher, counts_totals=settings.index == 0)
        self.sessions = Sessions(self.dispatcher)
        self.health = HealthMonitor(self.pools, self.sessions)
        self.links = LinkServer(self.pools, self.news, self.instance)
        state: dict[str, Any] = {"router": self}
        guard = Guard.of(self.access, settings.hosts)
        limit = settings.max_body_bytes
        self.site = Site(create_app(self), guard, self.dispatcher, limit, state)
        self.monitoring = Site(create_monitoring_app(self), None, None, limit, state)
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._health_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the pools and open the listeners.

        Raises:
            OSError, ValueError: pools, token or a socket can not be had.
        """
        self.pools.read()
        settings = self.settings
        self._servers.append(
            await self._loop.create_unix_server(
                self.links.connection, sock=_unix_listener(settings.link), backlog=_BACKLOG
            )
        )
        if settings.unix is not None:
            listener = _unix_listener(settings.unix)
            self._servers.append(
                await self._loop.create_unix_server(self._caller, sock=listener, backlog=_BACKLOG)
            )
        if settings.listen_fd is not None:
            listener = _inherited(settings.listen_fd)
            self._servers.append(
                await self._loop.create_server(self._caller, sock=listener, backlog=_BACKLOG)
            )
        if settings.monitoring_fd is not None:
            listener = _inherited(settings.monitoring_fd)
            self._servers.append(await self._loop.create_server(self._watcher, sock=listener))
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._health_task = self._loop.create_task(self.health.run())
        gc.collect()
        gc.freeze()

    def read_pools(self) -> None:
        """SIGHUP: follow the source; what can not be read changes nothing."""
        try:
            gone = self.pools.read()
        except (OSError, ValueError):
            _log.exception("the pools can not be read; those of before stay")
            return
        self.news.pools_read(gone)
        self.links.pools_changed()

    def stop(self) -> None:
        """SIGTERM: not ready any more; finish, then end."""
        self.is_draining = self.site.is_draining = self.monitoring.is_draining = True
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`, then drain and close."""
        await self._stopping.wait()
        for connection in list(self._connections):
            if connection.is_idle and not self.settings.linger_seconds:
                connection.abort()
        await asyncio.sleep(self.settings.linger_seconds)
        for server in self._servers[1:]:
            server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.grace_seconds):
                while self.dispatcher.in_flight or any(  # noqa: ASYNC110 - others end it
                    not connection.is_idle for connection in self._connections
                ):
                    await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.abort()
        if self._health_task is not None:
            self._health_task.cancel()
        self.links.close()
        self._servers[0].close()

    def _caller(self) -> Connection:
        return Connection(self.site, self._connections)

    def _watcher(self) -> Connection:
        return Connection(self.monitoring, self._connections)

    def _sweep(self) -> None:
        """The deadlines of all connections, twice a second."""
        self.site.tick()
        self.monitoring.tick()
        now = self._loop.time()
        for connection in list(self._connections):
            if connection.deadline <= now:
                connection.expired(now)
        self._loop.call_later(SWEEP_SECONDS, self._sweep)


AppFactory = Callable[[Router], ASGIApp]
"""Makes the application behind a listener, once the router's parts stand."""


def _unix_listener(path: Path) -> socket.socket:
    """A fresh 0600 Unix socket at `path`, in the place of one that a dead router left."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def _inherited(descriptor: int) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener
