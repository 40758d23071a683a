"""One router: its parts put together, its listeners, and how it starts, drains and ends."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pythonpool import names
from pythonpool.clock import Clock, SystemClock
from pythonpool_router import listeners
from pythonpool_router.accepting import Acceptor, Crowd, room_for_callers
from pythonpool_router.access import Access, TokenFile
from pythonpool_router.dispatch import Dispatcher
from pythonpool_router.front import Connection
from pythonpool_router.health import HealthMonitor
from pythonpool_router.identity import PoolSecrets
from pythonpool_router.linkserver import LinkServer
from pythonpool_router.logs import Logger
from pythonpool_router.pools import Pools, PoolsFile, PoolSource
from pythonpool_router.sessions import Sessions
from pythonpool_router.settings import Settings
from pythonpool_router.site import ASGIApp, Guard, Site
from pythonpool_router.workernews import WorkerNews

if TYPE_CHECKING:
    from pythonpool_router.cluster.home import ClusterHome

_log = Logger()

SWEEP_SECONDS = 0.5
RETRY_SECONDS = 1.0
MAX_WATCHERS = 16
"""Connections to the monitoring port: probes have room of their own, whatever callers do."""


class Router:
    """Everything that one router process holds; made inside its event loop.

    Attributes:
        instance: this life of the router.
        is_draining: SIGTERM was seen.
        home: the cluster; None on one machine.
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
        self._token = TokenFile(settings.token_file)
        self.access: Access = self._token
        self._misses_token = False
        self.home = _cluster_home(settings)
        source: PoolSource = self.home or PoolsFile(settings.pools or Path())
        self.pools = Pools(source)
        self.dispatcher = Dispatcher(self.pools, self.instance)
        self.news = WorkerNews(self.dispatcher, counts_totals=settings.index == 0)
        self.sessions = Sessions(self.dispatcher)
        self.health = HealthMonitor(self.pools, self.sessions)
        identity = self.home.identity(self.pools) if self.home else PoolSecrets(self.pools)
        self.links = LinkServer(identity, self.news, self.instance, settings.errors)
        state: dict[str, Any] = {"router": self}
        guard = Guard(self.access) if self.home else Guard.of(self.access, settings.hosts)
        limit = settings.max_body_bytes
        self.site = Site(create_app(self), guard, self.dispatcher, limit, state)
        self.monitoring = Site(create_monitoring_app(self), None, None, limit, state)
        self._crowd = Crowd(room_for_callers())
        self._watchers = Crowd(MAX_WATCHERS)
        self._servers: list[Acceptor] = []
        self._link_server: asyncio.Server | None = None
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._health_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the pools and open the listeners; in a cluster probes are answered before that.

        Raises:
            OSError, ValueError: pools, token or a socket can not be had.
        """
        settings = self.settings
        if settings.monitoring_fd is not None:
            self._watched(socket.socket(fileno=settings.monitoring_fd))
        if settings.monitoring is not None:
            self._watched(*listeners.tcp_listeners(settings.monitoring))
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
        if self.home is None:
            self.pools.read()
        elif not await self._synced(self.home):
            return
        self._link_server = await self._listen_for_links()
        if settings.unix is not None:
            self._serve(listeners.unix_listener(settings.unix))
        if settings.listen_fd is not None:
            self._serve(socket.socket(fileno=settings.listen_fd))
        if settings.listen is not None:
            self._serve(*listeners.tcp_listeners(settings.listen))
        self._health_task = self._loop.create_task(self.health.run())
        gc.collect()
        gc.freeze()

    def is_ready(self) -> bool:
        """Whether callers are to be sent here."""
        if self.is_draining:
            return False
        if self.home is not None:
            return self.home.is_ready()
        return any(pool.is_ready for pool in self.pools.by_name.values())

    def read_pools(self) -> None:
        """SIGHUP: follow the source; what can not be read changes nothing, and is tried again."""
        try:
            gone = self.pools.read()
        except (OSError, ValueError):
            _log.exception("the pools can not be read; those of before stay")
            self._loop.call_later(RETRY_SECONDS, self.read_pools)
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
        for connection in self._connections:
            if connection.is_idle and not self.settings.linger_seconds:
                connection.abort()
        await asyncio.sleep(self.settings.linger_seconds)
        for server in self._servers:
            server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.grace_seconds):
                while self.dispatcher.in_flight or any(
                    not connection.is_idle for connection in self._connections
                ):
                    if self.home is None:  # its workers end with it: no slot will come free
                        self.dispatcher.refuse_waiting()
                    await asyncio.sleep(0.02)
        self.dispatcher.refuse_waiting()
        for connection in self._connections:
            connection.abort()
        if self._health_task is not None:
            self._health_task.cancel()
        self.links.close()
        if self._link_server is not None:
            self._link_server.close()
        if self.home is not None:
            await self.home.close()

    def _serve(self, *sockets: socket.socket) -> None:
        self._servers += [Acceptor(each, self._caller, self._crowd) for each in sockets]

    def _watched(self, *sockets: socket.socket) -> None:
        self._servers += [Acceptor(each, self._watcher, self._watchers) for each in sockets]

    async def _listen_for_links(self) -> asyncio.Server:
        link, certificate = self.settings.link, self.settings.link_certificate
        if isinstance(link, Path):
            return await listeners.on_unix(self.links.connection, link)
        if certificate is None:
            raise ValueError("no certificate for links over TCP")
        return await listeners.on_tls(self.links.connection, link, certificate)

    async def _synced(self, home: "ClusterHome") -> bool:
        """Wait for the API server, however long; False: told to end meanwhile."""
        home.begin(self)
        ways = [
            self._loop.create_task(home.synced()),
            self._loop.create_task(self._stopping.wait()),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        return not self._stopping.is_set()

    def _caller(self) -> Connection:
        return Connection(self.site, self._crowd.connections)

    def _watcher(self) -> Connection:
        return Connection(self.monitoring, self._watchers.connections)

    @property
    def _connections(self) -> list[Connection]:
        return [*self._crowd.connections, *self._watchers.connections]

    def _sweep(self) -> None:
        """The deadlines of all connections, twice a second."""
        self.site.tick()
        self.monitoring.tick()
        if self.home is not None:
            self._refresh_token()
        now = self._loop.time()
        for connection in self._connections:
            if connection.deadline <= now:
                connection.expired(now)
        self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _refresh_token(self) -> None:
        try:
            self._token.refresh()
            self._misses_token = False
        except (OSError, ValueError) as error:
            if not self._misses_token:
                _log.error("no new token of callers; the one of before stays", why=str(error))
            self._misses_token = True


AppFactory = Callable[[Router], ASGIApp]
"""Makes the application behind a listener, once the router's parts stand."""


def _cluster_home(settings: Settings) -> "ClusterHome | None":
    if settings.cluster is None:
        return None
    # Not on one machine: what it needs takes longer to import than all the rest.
    from pythonpool_router.cluster.home import ClusterHome

    return ClusterHome(settings.cluster)
