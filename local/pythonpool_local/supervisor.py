"""`up`: reads the files, starts routers and pools, says when they are ready, ends them all.

The flow: lock -> sockets -> leftovers -> pools and routers -> ready -> signals -> end.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from pythonpool.errors import InvalidArgument
from pythonpool_local import leftovers, output, sockets
from pythonpool_local.console import Console
from pythonpool_local.ground import Ground, RouterOptions
from pythonpool_local.home import Home, check_lengths
from pythonpool_local.order import Order, read_orders
from pythonpool_local.pool import RunningPool
from pythonpool_local.pools import Pools
from pythonpool_local.processes import Children
from pythonpool_local.published import Published, UpDocument, pools_document
from pythonpool_local.refusal import Refusal
from pythonpool_local.routers import Routers

FINISH_SECONDS = 10.0
"""How long running calls may go on after Ctrl-C."""

_WORD_SECONDS = 1.0
"""An end that takes longer than this is explained."""

_ROUTER_SECONDS = 1.0
_SERVING_SECONDS = 10.0
_TICK_SECONDS = 1.0

FAILED = 1


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `up` was asked for.

    Attributes:
        files: manifests, read again on SIGHUP.
        port: to listen on; 0 takes a free one.
        monitoring_port: a second port for probes and metrics, or None.
        hosts: further names that a `Host` header may have.
        routers: how many router processes share the port, from 1.
        errors: `Full` or `Message`: whether tracebacks of commands reach callers.
    """

    files: tuple[str, ...]
    port: int
    monitoring_port: int | None
    hosts: tuple[str, ...]
    routers: int
    errors: str = "Full"


class Supervisor:
    """One `up`. `run` it once, in the main thread."""

    def __init__(
        self, home: Home, options: UpOptions, console: Console, environment: Mapping[str, str]
    ) -> None:
        self._options = options
        self._console = console
        self._home = home
        self._children = Children()
        self._ground = Ground(home, self._children, environment, options.routers, console.warn)
        self._url = ""
        self._listening: list[socket.socket] = []
        self._something = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._told: dict[str, str] = {}
        self._is_ready = False

    async def run(self, orders: list[Order], when_ready: Callable[[], None]) -> int:
        """Everything, from the sockets to the end; the exit code.

        Raises:
            Refusal: it could not start.
        """
        with ExitStack() as stack:
            listening = stack.enter_context(sockets.listen(self._options.port))
            monitoring = None
            if self._options.monitoring_port is not None:
                monitoring = stack.enter_context(
                    sockets.listen(self._options.monitoring_port, "--monitoring-port")
                )
            self._listening = [listening, *([monitoring] if monitoring else [])]
            self._url = sockets.url(listening)
            self._routers = Routers(
                self._ground,
                RouterOptions(
                    listening.fileno(),
                    monitoring.fileno() if monitoring else None,
                    self._options.hosts,
                    self._options.errors,
                ),
                self._changed,
            )
            stack.enter_context(self._signals())
            return await self._lead(orders, when_ready)

    async def _lead(self, orders: list[Order], when_ready: Callable[[], None]) -> int:
        killed = leftovers.clean(self._home)
        if killed:
            self._console.warn(f"an earlier up had crashed: {killed} processes of it were killed")
        self._pools = Pools(self._ground, self._routers.loads, self._changed)
        self._published = self._make_published()
        ticking = asyncio.create_task(self._tick())
        try:
            self._pools.take(orders)
            self._published.write_now()
            self._routers.start()
            code = await self._until_ready()
            if code == 0 and not self._stopping.is_set():
                when_ready()
                await self._stopping.wait()
            return code
        finally:
            ticking.cancel()
            await self._end()

    def _make_published(self) -> Published:
        return Published(
            self._home,
            pools=lambda: pools_document(self._pools.listed),
            up=lambda: self._up_document().content(),
            identities=lambda: self._children.identities,
            pools_written=self._routers.read_again,
            report=self._console.warn,
        )

    def _up_document(self) -> UpDocument:
        return UpDocument(self._url, self._pools.listed, self._routers.listed)

    async def _until_ready(self) -> int:
        """Wait until all pools are settled, and say so; 1 when none can start."""
        while not self._pools.are_settled:
            self._tell()
            if await self._stopped_before_change():
                return 0
        self._tell()
        pools = self._pools.listed
        if pools and all(pool.is_degraded for pool in pools):
            self._console.warn(f"no pool can start; the logs are in {self._home.logs}")
            return FAILED
        ready = [pool.name for pool in pools if pool.ready_workers]
        awaited = await self._routers.serving(ready, _SERVING_SECONDS)
        if awaited:
            self._console.warn(f"{awaited}; the logs are in {self._home.logs}")
            return FAILED
        self._published.write_now()
        self._console.ready(self._url, self._up_document().content())
        self._is_ready = True
        return 0

    async def _stopped_before_change(self) -> bool:
        """Wait for the next change, or a second; True when `up` is to stop."""
        self._something.clear()
        waits = [
            asyncio.create_task(self._something.wait()),
            asyncio.create_task(self._stopping.wait()),
        ]
        await asyncio.wait(waits, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self._stopping.is_set()

    def _changed(self) -> None:
        self._something.set()
        self._published.changed()
        if self._is_ready and not self._stopping.is_set():
            self._tell()

    def _tell(self) -> None:
        """One line for each pool whose standing is another than was told."""
        for pool in self._pools.listed:
            standing = _standing(pool)
            if not standing or self._told.get(pool.name) == standing:
                continue
            self._told[pool.name] = standing
            if pool.is_degraded:
                self._console.warn(f"{pool.name}: {standing}: {pool.reason}")
                log = pool.last_failure.log if pool.last_failure else ""
                for line in log.splitlines()[-output.TOLD_LINES :]:
                    self._console.warn(f"    {line}")
            elif not self._is_ready:
                self._console.say(f"{pool.name}: {standing}")
            else:
                self._console.warn(f"{pool.name}: {standing}")
        awaited = [pool for pool in self._pools.listed if not pool.is_settled]
        if awaited and not self._is_ready:
            text = ", ".join(
                f"{pool.name} ({pool.ready_workers} of {pool.order.replicas})" for pool in awaited
            )
            self._console.progress(f"waiting for {text}", self._ground.now())

    async def _tick(self) -> None:
        """Leftovers, logs, and lines that nobody has read yet, once a second."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._console.flush()
            with contextlib.suppress(OSError):  # no disk, no descriptors: the next one may do it
                self._children.sweep()
                self._bound_logs()

    def _bound_logs(self) -> None:
        for path in self._home.logs.glob("*.log"):
            output.bound(path, output.MAX_BYTES)
        living = {worker.name for pool in self._pools.listed for worker in pool.workers}
        living |= {"up", *(f"router-{index}" for index in range(self._options.routers))}
        output.forget_old(self._home.logs, living, output.KEPT_LOGS)

    async def _end(self) -> None:
        """Refuse, finish, kill; nothing is left when this returns."""
        self._stopping.set()
        self._routers.refuse()
        for listening in self._listening:  # else callers would wait for nobody
            listening.close()
        ending = asyncio.create_task(self._end_gently())
        hurrying = asyncio.create_task(self._hurrying.wait())
        await self._first_of(ending, hurrying)
        await self._children.end_all()
        await ending
        hurrying.cancel()
        self._published.close()
        leftovers.clean(self._home)

    async def _first_of(self, ending: asyncio.Task[None], hurrying: asyncio.Task[bool]) -> None:
        """Wait for either; say why it takes time when it does."""
        both = [ending, hurrying]
        first = asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(both, timeout=_WORD_SECONDS, return_when=first)
        if done:
            return
        if self._is_ready:
            self._console.warn(
                f"running calls may finish, for {FINISH_SECONDS:.0f} s at most; "
                "a second Ctrl-C kills them"
            )
        await asyncio.wait(both, return_when=first)

    async def _end_gently(self) -> None:
        await self._pools.end(FINISH_SECONDS)
        await self._routers.end(_ROUTER_SECONDS)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        self._children.open()
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping.is_set() and number == signal.SIGINT:
            self._hurrying.set()
        self._stopping.set()

    def _hung_up(self) -> None:
        """SIGHUP: the terminal is gone, or somebody changed the files."""
        if self._console.lost_terminal:
            self._stop(signal.SIGTERM)
            return
        try:
            orders = read_orders(self._options.files)
            check_lengths(self._home, [order.name for order in orders])
        except (InvalidArgument, Refusal) as error:
            self._console.warn(f"nothing is changed: {error}")
            return
        self._pools.take(orders)


def _standing(pool: RunningPool) -> str:
    """A pool's standing in one or two words; empty while it is awaited."""
    if not pool.is_settled:
        return ""
    if pool.order.replicas == 0:
        return "scaled to 0"
    if pool.is_degraded:
        return "Degraded"
    total = pool.order.replicas
    if pool.ready_workers < total and (not pool.ready_workers or pool.last_failure is None):
        return ""
    if pool.last_failure is not None and pool.ready_workers < total:
        return f"ready, {pool.ready_workers} of {total} workers: {pool.last_failure.reason}"
    return "ready" if total == 1 else f"ready, {total} workers"
