"""The router processes of one `up`: started together on one port, and back when they die."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

from pythonpool_local import asking
from pythonpool_local.backoff import Backoff
from pythonpool_local.environment import cleaned
from pythonpool_local.ground import Ground, RouterOptions, router_command
from pythonpool_local.processes import Child, Program, how_it_ended

MOST_SECONDS_AWAY = 2.0
"""The longest wait before a router that died is started again; it is promised back within 5 s."""

_ASK_SECONDS = 1.0
_POLL_SECONDS = 0.02


class Routers:
    """N routers. `changed` is called when one of them has another pid."""

    def __init__(self, ground: Ground, options: RouterOptions, changed: Callable[[], None]) -> None:
        self._ground = ground
        self._options = options
        self._changed = changed
        self._children: list[Child | None] = [None] * ground.routers
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def sockets(self) -> list[Path]:
        """The Unix socket of each."""
        return [self._ground.home.router_socket(index) for index in range(self._ground.routers)]

    @property
    def listed(self) -> list[tuple[int | None, Path]]:
        """Pid (None while it is away) and Unix socket of each."""
        pids = [child.pid if child and child.is_running else None for child in self._children]
        return list(zip(pids, self.sockets, strict=True))

    def start(self) -> None:
        """Start all; they need pools.json.

        Raises:
            OSError: one can not be started.
        """
        for index in range(self._ground.routers):
            self._children[index] = self._start(index)
        self._tasks = [
            asyncio.create_task(self._keep(index)) for index in range(self._ground.routers)
        ]

    def read_again(self) -> None:
        """pools.json has changed."""
        for child in self._children:
            if child is not None:
                child.send(signal.SIGHUP)

    async def serving(self, pools: list[str], timeout_seconds: float) -> str:
        """Wait until each router serves each of these pools; what is awaited still, or empty."""
        awaited = ""
        try:
            async with asyncio.timeout(timeout_seconds):
                for index, socket in enumerate(self.sockets):
                    awaited = f"router {index} does not serve yet"
                    while not await self._serves(socket, pools):  # noqa: ASYNC110 - it is asked
                        await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return awaited
        return ""

    async def loads(self, pool: str) -> dict[str, int]:
        """Running calls and sessions of each worker; empty when no router says so."""
        for socket in self.sockets:
            try:
                status, body = await self._ask(socket, f"/v1/pools/{pool}/workers")
                if status == 200:
                    items = json.loads(body)["items"]
                    return {row["name"]: row["busy"] + row["sessions"] for row in items}
            except (OSError, ValueError, LookupError, TypeError):
                continue
        return {}

    def refuse(self) -> None:
        """Tell all to take no more calls and to finish."""
        for task in self._tasks:
            task.cancel()
        for child in self._children:
            if child is not None:
                child.send(signal.SIGTERM)

    async def end(self, grace_seconds: float) -> None:
        """End all, at the latest after the grace."""
        running = [child for child in self._children if child is not None and child.is_running]
        await asyncio.gather(*(child.end(grace_seconds) for child in running))
        for index, socket in enumerate(self.sockets):
            socket.unlink(missing_ok=True)
            self._ground.home.link_socket(index).unlink(missing_ok=True)

    def _start(self, index: int) -> Child:
        options = self._options
        monitoring = () if options.monitoring is None else (options.monitoring,)
        return self._ground.children.start(
            Program(
                argv=router_command(self._ground.home, index, options),
                environment=cleaned(self._ground.environment),
                folder=self._ground.home.path,
                log=self._ground.home.log(f"router-{index}"),
                descriptors=(options.listening, *monitoring),
                # A change of pools.json may be told before the program can listen to it.
                ignores_hangup=True,
            )
        )

    async def _keep(self, index: int) -> None:
        backoff = Backoff(self._ground.chance, first=0.1, most=MOST_SECONDS_AWAY)
        while True:
            child = self._children[index]
            began = self._ground.now()
            code = await asyncio.shield(child.exited) if child is not None else 0
            self._changed()
            now = self._ground.now()
            backoff.failed(now, now - began)
            self._ground.report(f"router {index} ended with {how_it_ended(code)}; it is restarted")
            await asyncio.sleep(backoff.wait(now))
            try:
                self._children[index] = self._start(index)
            except OSError as error:
                self._ground.report(f"router {index} could not be started: {error}")
                self._children[index] = None
            self._changed()

    async def _serves(self, socket: Path, pools: list[str]) -> bool:
        try:
            if not pools:
                status, _ = await self._ask(socket, "/livez")
                return status == 200
            for pool in pools:
                status, body = await self._ask(socket, f"/v1/pools/{pool}")
                if status != 200 or not json.loads(body)["ready"]:
                    return False
        except (OSError, ValueError, LookupError, TypeError):
            return False
        return True

    async def _ask(self, socket: Path, target: str) -> tuple[int, bytes]:
        token = self._ground.home.token_file.read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return await asking.get(socket, target, _ASK_SECONDS, headers)
