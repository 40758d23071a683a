"""A real router process, and workers that speak frames to it as a test tells them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pythonpool import messages, names
from pythonpool.messages import MORE, SLOT_FREE, Call, Kind

TOKEN = "t0ken"
SECONDS = 5.0
START_SECONDS = 20.0


def spec(**changes: Any) -> dict[str, Any]:
    """A normalised spec as far as routers read it."""
    return {
        "adapter": "general",
        "replicas": 1,
        "concurrency": 1,
        "timeoutSeconds": 30,
        "maxTimeoutSeconds": 3600,
        "healthCheck": {"periodSeconds": 600, "failureThreshold": 3, "startupSeconds": 120},
        "queue": {"maxLength": 100, "timeoutSeconds": 10},
        "sessions": {"ttlSeconds": 3600, "maxTtlSeconds": 86400, "maxPerWorker": 16},
        "operations": [],
        **changes,
    }


def command(name: str, **changes: Any) -> dict[str, Any]:
    """A row of a catalogue."""
    return {
        "name": name,
        "description": "",
        "args_schema": {},
        "result_schema": {},
        "timeout_seconds": None,
        "idempotent": False,
        "streaming": False,
        **changes,
    }


@dataclass
class Sent:
    """One CALL as a worker got it."""

    number: int
    call: Call


@dataclass
class Reply:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class LinkWorker(asyncio.Protocol):
    """A worker as the router sees one: dials, says HELLO, and does what `on_call` says.

    Without `on_call` calls gather in `calls`, and the test answers them.
    """

    pool: str
    secret: str = "s3cret"
    slots: int = 1
    state: str = "ready"
    commands: list[dict[str, Any]] = field(default_factory=lambda: [command("echo")])
    generation: int = 1
    name: str = ""
    incarnation: str = ""
    on_call: "Callable[[LinkWorker, Sent], None] | None" = None
    others: int = 0
    protocol: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        self.name = self.name or names.new_worker_name(self.pool)
        self.incarnation = self.incarnation or names.new_incarnation()
        self.calls: asyncio.Queue[Sent] = asyncio.Queue()
        self.frames: asyncio.Queue[tuple[int, int, bytes]] = asyncio.Queue()
        self.greeted: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.busy = 0
        self._reader = messages.FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send(Kind.HELLO, 0, json.dumps(self.hello()).encode())

    def hello(self) -> dict[str, Any]:
        """What it says of itself in its HELLO."""
        return {
            "protocol": self.protocol,
            "pool": self.pool,
            **self.proof(),
            "worker": self.name,
            "incarnation": self.incarnation,
            "generation": self.generation,
            "slots": self.slots,
            "catalogue": self.commands,
            "state": self.state,
            "pid": os.getpid(),
            "started_at": "2026-01-31T12:00:00.000Z",
        }

    def proof(self) -> dict[str, str]:
        """How it proves its pool in its HELLO."""
        return {"secret": self.secret}

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        for kind, number, payload in self._reader.feed(data):
            if kind == Kind.HELLO:
                self.greeted.set_result(json.loads(payload))
            elif kind == Kind.PING:
                self.send(Kind.PONG, 0)
            elif kind == Kind.CALL:
                sent = Sent(number, messages.read_call(payload))
                if self.on_call is not None:
                    self.on_call(self, sent)
                else:
                    self.calls.put_nowait(sent)
            else:
                self.frames.put_nowait((kind, number, payload))

    def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Send one frame."""
        self.transport.write(messages.frame(kind, number, payload))

    def status(self, **changes: Any) -> None:
        """Send a STATUS."""
        news = {
            "state": self.state,
            "slots": self.slots,
            "busy": 0,
            "yours": 0,
            "sessions": 0,
            "session_room": 16,
            "memory_bytes": 1000,
            "calls": 0,
            "generation": self.generation,
            "exits": {},
            "session_ends": {},
            "started_at": "2026-01-31T12:00:00.000Z",
            **changes,
        }
        self.send(Kind.STATUS, 0, json.dumps(news).encode())

    def result(self, number: int, body: bytes, flags: int = SLOT_FREE, run_us: int = 10) -> None:
        """Answer a call with a whole result."""
        head = messages.RESULT_HEAD.pack(flags, run_us, len(body))
        self.send(Kind.RESULT, number, head + body)

    def error(self, number: int, flags: int = SLOT_FREE, **problem: Any) -> None:
        """Answer a call with an error."""
        text = json.dumps({"detail": "said by the worker", **problem}).encode()
        self.send(Kind.ERROR, number, messages.END_HEAD.pack(flags, 10) + text)

    def refuse(self, number: int, reason: int) -> None:
        """Do not take a call."""
        self.send(Kind.REFUSE, number, bytes((reason,)))

    async def call(self) -> Sent:
        """The next CALL that came."""
        return await asyncio.wait_for(self.calls.get(), SECONDS)

    async def frame(self, kind: int) -> tuple[int, bytes]:
        """The next frame of that kind; those of other kinds before it are dropped."""
        async with asyncio.timeout(SECONDS):
            while True:
                got, number, payload = await self.frames.get()
                if got == kind:
                    return number, payload

    async def body(self, sent: Sent) -> bytes:
        """The whole body of a call: with MORE the slot is given, and the rest read."""
        if not sent.call.flags & MORE:
            return sent.call.body
        self.send(Kind.ACCEPT, sent.number)
        parts = [sent.call.body]
        async with asyncio.timeout(SECONDS):
            while True:
                kind, number, payload = await self.frames.get()
                if kind == Kind.END and number == sent.number:
                    return b"".join(parts)
                if kind == Kind.DATA and number == sent.number:
                    parts.append(payload)
                    self.send(Kind.CREDIT, number, messages.U32.pack(len(payload)))


def echo(worker: LinkWorker, sent: Sent) -> None:
    """Answer a call with its own args."""
    worker.result(sent.number, sent.call.body or b"{}")


class Caller:
    """One HTTP connection to the router, raw enough to break the rules."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Write raw bytes."""
        self.writer.write(data)

    def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        """Write one ordinary request."""
        fields = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}"}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))

    async def head(self) -> Reply:
        """Read the head of the next answer."""
        text = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        first, *lines = text.decode().rstrip("\r\n").split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        return Reply(int(first.split()[1]), {name.lower(): value for name, value in fields}, b"")

    async def reply(self, method: str = "POST") -> Reply:
        """Read the next answer."""
        reply = await self.head()
        if "transfer-encoding" in reply.headers:
            reply.body = await self._chunked()
        elif method != "HEAD":
            length = int(reply.headers.get("content-length", 0))
            reply.body = await asyncio.wait_for(self.reader.readexactly(length), SECONDS)
        return reply

    async def chunk(self) -> bytes:
        """Read one chunk of a chunked answer; empty at its end."""
        size = int(await asyncio.wait_for(self.reader.readline(), SECONDS), 16)
        return (await asyncio.wait_for(self.reader.readexactly(size + 2), SECONDS))[:-2]

    async def _chunked(self) -> bytes:
        parts = []
        while part := await self.chunk():
            parts.append(part)
        return b"".join(parts)

    async def is_closed(self) -> bool:
        """Wait for the router to close; whether nothing came before that."""
        return await asyncio.wait_for(self.reader.read(), SECONDS) == b""

    async def close(self) -> None:
        """Go away."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class RouterHouse:
    """A folder, a pools.json, router processes, and whoever talks to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pools: dict[str, dict[str, Any]] = {}
        self.processes: list[asyncio.subprocess.Process] = []
        self._open: list[Caller | LinkWorker] = []
        (folder / "token").write_text(TOKEN + "\n")

    def pool(self, name: str, **changes: Any) -> dict[str, Any]:
        """Add a pool to pools.json; the row may be changed and written again."""
        row = {
            "name": name,
            "generation": 1,
            "spec": spec(),
            "secret": "s3cret",
            "settled": True,
            "reason": None,
            "cause": None,
            "workers": [],
            **changes,
        }
        self.pools[name] = row
        self.write()
        return row

    def write(self) -> None:
        """Write pools.json."""
        fresh = self.folder / "pools.new"
        fresh.write_text(json.dumps({"pools": list(self.pools.values())}))
        fresh.rename(self.folder / "pools.json")

    async def start(
        self, *arguments: str, index: int = 0, passes: Sequence[int] = (), files: int = 0
    ) -> asyncio.subprocess.Process:
        """Start a router, which inherits the descriptors `passes`, and wait until it answers.

        It may open so many `files`; 0: as many as this process.
        """
        limited = ("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh") if files else ()
        process = await asyncio.create_subprocess_exec(
            *limited, sys.executable, "-m", "pythonpool_router",
            *self.home_arguments(index),
            "--unix", str(self.path(index)),
            "--token-file", str(self.folder / "token"),
            *arguments,
            pass_fds=passes,
        )  # fmt: skip
        self.processes.append(process)
        async with asyncio.timeout(START_SECONDS):
            while not self.path(index).exists() or not await self._answers(index):
                assert process.returncode is None, "the router did not start"
                await asyncio.sleep(0.01)
        return process

    def home_arguments(self, index: int) -> list[str]:
        """Where the router finds its pools, and its workers find the router."""
        return [
            *("--pools", str(self.folder / "pools.json")),
            *("--index", str(index)),
            *("--link", f"unix:{self.link_path(index)}"),
        ]

    async def _answers(self, index: int) -> bool:
        try:
            return (await self.ask("GET", "/livez", index=index)).status == 200
        except OSError:
            return False

    def path(self, index: int = 0) -> Path:
        """The socket for callers."""
        return self.folder / f"router-{index}.sock"

    def link_path(self, index: int = 0) -> Path:
        """The socket for workers."""
        return self.folder / f"link-{index}.sock"

    def read_again(self) -> None:
        """Write pools.json and tell the routers."""
        self.write()
        for process in self.processes:
            process.send_signal(signal.SIGHUP)

    async def connect(self, worker: LinkWorker, index: int = 0) -> None:
        """Connect a worker, whatever the router says to it."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: worker, str(self.link_path(index)))
        self._open.append(worker)

    async def dial(self, worker: LinkWorker, index: int = 0) -> LinkWorker:
        """Connect a worker; it has been greeted."""
        await self.connect(worker, index)
        await asyncio.wait_for(worker.greeted, SECONDS)
        return worker

    async def worker(self, pool: str, index: int = 0, **settings: Any) -> LinkWorker:
        """A worker that is connected."""
        return await self.dial(LinkWorker(pool, **settings), index)

    async def caller(self, index: int = 0) -> Caller:
        """A caller that is connected."""
        caller = Caller(*await asyncio.open_unix_connection(str(self.path(index))))
        self._open.append(caller)
        return caller

    async def ask(
        self, method: str, target: str, body: bytes | None = None, index: int = 0, **headers: str
    ) -> Reply:
        """One request on a connection of its own."""
        caller = await self.caller(index)
        caller.request(method, target, body, **headers)
        reply = await caller.reply(method)
        await caller.close()
        return reply

    async def execute(self, pool: str, name: str, body: bytes = b"{}", query: str = "") -> Reply:
        """One call."""
        return await self.ask("POST", f"/v1/pools/{pool}/execute/{name}{query}", body)

    async def until(self, met: "Callable[[dict[str, Any]], bool]", pool: str) -> dict[str, Any]:
        """Ask for a pool until it is as it should be."""
        async with asyncio.timeout(SECONDS):
            while True:
                state: dict[str, Any] = (await self.ask("GET", f"/v1/pools/{pool}")).json()
                if met(state):
                    return state
                await asyncio.sleep(0.01)

    async def queued(self, length: int, pool: str) -> None:
        """Wait until so many calls wait in a pool."""
        await self.until(lambda state: state["queued"] == length, pool)

    async def close(self) -> None:
        """End everybody."""
        for one in self._open:
            if isinstance(one, Caller):
                one.writer.close()
            elif not one.transport.is_closing():
                one.transport.abort()
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def router_house(folder: Path) -> AsyncIterator[RouterHouse]:
    """A house that is cleaned up."""
    house = RouterHouse(folder)
    try:
        yield house
    finally:
        await house.close()
