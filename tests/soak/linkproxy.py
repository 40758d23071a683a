"""A fault proxy between the agents and one router, put in place of the router's Unix socket.

The router's own socket is moved aside and the proxy listens under its name, again after each
restart of the router; neither agents nor routers know of it.
"""

import asyncio
import contextlib
from pathlib import Path

_LOOK_SECONDS = 0.005
_CHUNK = 65536


class LinkProxy:
    """Passes bytes both ways, and does to them what it is told.

    Attributes:
        delay_seconds: each chunk waits so long, in both directions.
        swallows: bytes from the router to the agents go nowhere; the connections stay open.
        is_cut: new connections are refused.
    """

    def __init__(self, path: Path, aside: Path) -> None:
        self.delay_seconds = 0.0
        self.swallows = False
        self.is_cut = False
        self._path = path
        self._aside = aside
        self._own = 0
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._agents: set[asyncio.StreamWriter] = set()
        self._halved: set[asyncio.StreamWriter] = set()
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take the router's place as soon as it listens."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._watching is not None:
            self._watching.cancel()
        if self._server is not None:
            self._server.close()
        self.reset()
        for path in (self._path, self._aside):
            path.unlink(missing_ok=True)

    def reset(self) -> None:
        """Break every connection."""
        for end in list(self._ends):
            end.transport.abort()

    def halve(self) -> None:
        """Say to each agent that its router sends no more, and go on listening to it."""
        for end in list(self._agents):
            self._halved.add(end)
            with contextlib.suppress(OSError):
                end.write_eof()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino != self._own:
                    await self._take_over()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _take_over(self) -> None:
        self._path.rename(self._aside)
        if self._server is not None:
            self._server.close()
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._own = self._path.stat().st_ino

    async def _serve(self, reader: asyncio.StreamReader, agent: asyncio.StreamWriter) -> None:
        if self.is_cut:
            agent.transport.abort()
            return
        try:
            answers, router = await asyncio.open_unix_connection(self._aside)
        except OSError:
            agent.transport.abort()
            return
        self._ends |= {agent, router}
        self._agents.add(agent)
        pumps = [
            asyncio.create_task(self._pump(reader, router, is_down=False)),
            asyncio.create_task(self._pump(answers, agent, is_down=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (agent, router):
                end.transport.abort()
                self._ends.discard(end)
            self._agents.discard(agent)
            self._halved.discard(agent)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_down: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if not (is_down and self.swallows) and writer not in self._halved:
                    writer.write(data)
                    await writer.drain()
