"""Counts the frames that workers send to a router: `python -m bench.tap LISTEN ROUTER`.

Listens on one Unix socket, passes bytes on to the other and back, and says how many frames
of each kind came from workers, as JSON on stdout, when its stdin is closed.
"""

import asyncio
import json
import sys
from collections import Counter

from pythonpool import messages


class Tap:
    """One relay with its counts."""

    def __init__(self, router: str) -> None:
        self.frames: Counter[str] = Counter()
        self._router = router
        self._passing: set[asyncio.Task[None]] = set()

    async def joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A worker has dialled."""
        inner, outer = await asyncio.open_unix_connection(self._router)
        for passing in (self._up(reader, outer), _pass(inner, writer)):
            task = asyncio.create_task(passing)
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = messages.FrameReader()
        while data := await reader.read(262_144):
            writer.write(data)
            for kind, _, _ in frames.feed(data):
                self.frames[messages.Kind(kind).name] += 1
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(262_144):
        writer.write(data)
    writer.close()


async def _serve(listen: str, router: str) -> None:
    tap = Tap(router)
    await asyncio.start_unix_server(tap.joined, listen)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(tap.frames), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
