"""A real agent process on a stage where the test itself plays routers, keeper and executors.

They speak the protocols' frames over real sockets, so that a test can say exactly what comes when.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pythonpool.messages import (
    END_HEAD,
    RESULT_HEAD,
    UNKNOWN,
    Call,
    FrameReader,
    Kind,
    Run,
    call_head,
    frame,
    read_run,
)

PATIENCE = 10.0
"""Seconds that the stage waits for an event before the test fails."""

EXAMPLES = Path(__file__).parent.parent / "examples"

QUIET = (Kind.STATUS, Kind.PONG)
"""Frames that a router passes over unless it asks for them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came."""

    kind: int
    number: int
    payload: bytes

    @property
    def json(self) -> Any:
        """The payload as JSON, after the head of an ERROR or a RESULT."""
        heads = {Kind.ERROR: END_HEAD.size, Kind.RESULT: RESULT_HEAD.size}
        return json.loads(self.payload[heads.get(Kind(self.kind), 0) :])

    @property
    def body(self) -> bytes:
        """What follows the head of a RESULT."""
        return self.payload[RESULT_HEAD.size :]

    @property
    def flags(self) -> int:
        """The first byte."""
        return self.payload[0]


class Inbox:
    """Frames that came and were not asked for yet."""

    def __init__(self, skip: tuple[Kind, ...] = ()) -> None:
        self._frames: deque[Frame] = deque()
        self._skip = skip
        self._news = asyncio.Event()
        self.seen: list[Frame] = []

    def put(self, arrived: Frame) -> None:
        self.seen.append(arrived)
        self._frames.append(arrived)
        self._news.set()

    async def next(self, kind: int | None = None) -> Frame:
        """The next frame that is not skipped; with a kind, it must be of it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while self._frames:
                    found = self._frames.popleft()
                    if found.kind == kind:
                        return found
                    if found.kind not in self._skip:
                        assert kind is None, f"{Kind(found.kind).name} came: {found.payload!r}"
                        return found
                self._news.clear()
                await self._news.wait()

    def is_empty(self) -> bool:
        return not [each for each in self._frames if each.kind not in self._skip]


class FakeRouter:
    """Listens for one agent and speaks as a router does."""

    def __init__(self, path: Path, instance: str) -> None:
        self.address = f"unix:{path}"
        self.instance = instance
        self.inbox = Inbox(QUIET)
        self.hello: dict[str, Any] = {}
        self.connected = asyncio.Event()
        self._path = path
        self._last = 0
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        await self.hang_up()
        if self._server is not None:
            self._server.close()

    async def hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def send(self, kind: int, number: int = 0, payload: bytes = b"") -> None:
        assert self._writer is not None
        self._writer.write(frame(kind, number, payload))

    def call(
        self,
        command: str = "echo",
        body: bytes = b"{}",
        *,
        flags: int = 0,
        timeout: float = 30.0,
        waited: float = 0.0,
        line: float | None = None,
        session: str = "",
        owner: str = "alice",
    ) -> int:
        """Send CALL; its number."""
        self._last += 1
        head = call_head(
            Call(
                flags,
                int(timeout * 1000),
                int(waited * 1000),
                UNKNOWN if line is None else int(line * 1000),
                len(body),
                command.encode(),
                session.encode(),
                b"",
                owner.encode(),
                b"",
            )
        )
        self.send(Kind.CALL, self._last, head + body)
        return self._last

    async def ask(self, **asked: Any) -> Frame:
        self._last += 1
        self.send(Kind.ASK, self._last, json.dumps(asked).encode())
        return await self.inbox.next()

    async def status(self) -> dict[str, Any]:
        """A fresh STATUS."""
        before = len(self.inbox.seen)
        self.send(Kind.PING)
        async with asyncio.timeout(PATIENCE):
            while True:
                new = [f for f in self.inbox.seen[before:] if f.kind == Kind.STATUS]
                after_pong = [f.kind for f in self.inbox.seen[before:]]
                if new and Kind.PONG in after_pong:
                    return dict(new[-1].json)
                await asyncio.sleep(0.002)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        self._writer = writer
        try:
            while data := await reader.read(1 << 18):
                for kind, number, payload in frames.feed(data):
                    if kind == Kind.HELLO:
                        self.hello = json.loads(payload)
                        answer = {"protocol": [1, 1], "router": self.instance}
                        self.send(Kind.HELLO, 0, json.dumps(answer).encode())
                        self.connected.set()
                    else:
                        self.inbox.put(Frame(kind, number, payload))
        except ConnectionError:
            pass
        finally:
            self.connected.clear()
            writer.close()


class FakeExecutor:
    """The executor's end of a channel."""

    def __init__(self, number: int, end: socket.socket) -> None:
        self.id = number
        self.inbox = Inbox()
        self.is_closed = asyncio.Event()
        end.setblocking(False)
        self._end = end
        self._frames = FrameReader()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end, self._readable)

    async def run(self) -> tuple[int, Run]:
        """The next RUN: its number and what it says."""
        got = await self.inbox.next(Kind.RUN)
        return got.number, read_run(got.payload)

    async def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # burnt, read no more, or closed here for that
            await self._loop.sock_sendall(self._end, frame(kind, number, payload))

    async def result(self, number: int, body: bytes = b"{}", flags: int = 0) -> None:
        await self.send(Kind.RESULT, number, RESULT_HEAD.pack(flags, 5, len(body)) + body)

    async def error(self, number: int, problem: dict[str, Any], flags: int = 0) -> None:
        await self.send(Kind.ERROR, number, END_HEAD.pack(flags, 5) + json.dumps(problem).encode())

    def close(self) -> None:
        if self._end.fileno() >= 0:
            self._loop.remove_reader(self._end)
            self._end.close()

    def _readable(self) -> None:
        try:
            data = self._end.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._end)
            self.is_closed.set()
            return
        for kind, number, payload in self._frames.feed(data):
            self.inbox.put(Frame(kind, number, payload))


class FakeKeeper:
    """Dials the agent; makes executors and kills them as asked, unless told to be silent."""

    def __init__(self, path: Path) -> None:
        self.executors: dict[int, FakeExecutor] = {}
        self.kills: list[dict[str, Any]] = []
        self.stack: str | None = "Thread 0x1: File work.py, line 3"
        self.answers_start = True
        self.answers_kill = True
        self.unkillable = False
        self.got_stop = asyncio.Event()
        self._made: list[FakeExecutor] = []
        self.news = asyncio.Condition()
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    async def start(self, catalogue: list[dict[str, Any]] | None = None) -> None:
        """Say that the template is ready."""
        await self.connect()
        rows = catalogue or [{"name": "echo"}]
        self.say({"t": "template", "state": "ready", "pid": 1, "catalogue": rows})

    async def connect(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    self._socket.connect(str(self._path))
                    break
                except OSError:
                    await asyncio.sleep(0.002)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self.say({"t": "hello", "pid": os.getpid()})

    def say(self, message: dict[str, Any], *descriptors: int) -> None:
        with contextlib.suppress(OSError):  # the agent may be gone already
            socket.send_fds(self._socket, [json.dumps(message).encode()], list(descriptors))

    def hang_up(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for executor in self._made:
            executor.close()

    def die(self, executor: FakeExecutor, cause: str, **figures: int) -> None:
        """The executor is dead; what it wrote stays in its socket."""
        executor.close()
        self.executors.pop(executor.id, None)
        self.say({"t": "exited", "id": executor.id, "pid": 1, "cause": cause, **figures})

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(holds)

    def busy(self) -> FakeExecutor:
        """The only executor that has got a frame which nobody asked for yet."""
        (found,) = [each for each in self.executors.values() if not each.inbox.is_empty()]
        return found

    async def working(self) -> FakeExecutor:
        """The executor that gets the next frame."""
        async with asyncio.timeout(PATIENCE):
            while True:
                busy = [e for e in self.executors.values() if not e.inbox.is_empty()]
                if busy:
                    return busy[0]
                await asyncio.sleep(0.001)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._socket)
            self.got_stop.set()
            return
        self._heard(json.loads(data))
        self._loop.create_task(self._tell())

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    def _heard(self, message: dict[str, Any]) -> None:
        if message["t"] == "start" and self.answers_start:
            ours, theirs = socket.socketpair()
            executor = FakeExecutor(message["id"], ours)
            self.executors[executor.id] = executor
            self._made.append(executor)
            self.say({"t": "executor", "id": message["id"], "pid": 1}, theirs.fileno())
            theirs.close()
        elif message["t"] == "kill":
            self.kills.append(message)
            if self.answers_kill:
                self.killed(message["id"], dump=message["dump"])
        elif message["t"] == "stop":
            self.got_stop.set()

    def killed(self, number: int, *, dump: bool = True) -> None:
        stack = self.stack if dump else None
        self.say({"t": "killed", "id": number, "stack": stack, "unkillable": self.unkillable})
        executor = self.executors.pop(number, None)
        if executor is not None:
            executor.close()
        if not self.unkillable:
            self.say({"t": "exited", "id": number, "pid": 1, "cause": "signal:9"})


@dataclass
class Stage:
    """One agent and everybody around it."""

    folder: Path
    agent: asyncio.subprocess.Process
    routers: list[FakeRouter]
    keeper: FakeKeeper
    notices: asyncio.StreamReader
    states: list[dict[str, Any]] = field(default_factory=list)

    @property
    def router(self) -> FakeRouter:
        return self.routers[0]

    async def notice(self) -> dict[str, Any]:
        """The next line that the supervisor gets."""
        async with asyncio.timeout(PATIENCE):
            return dict(json.loads(await self.notices.readline()))

    async def probe(self, path: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_unix_connection(self.folder / "probe.sock")
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split()[1]), answer.rpartition("\r\n\r\n")[2].strip()

    async def serve_one(self, body: bytes = b'{"ok":1}') -> Frame:
        """One call from end to end; its terminal frame."""
        self.router.call()
        executor = await self.keeper.working()
        number, _ = await executor.run()
        await executor.result(number, body)
        return await self.router.inbox.next()

    async def open_session(self, body: bytes = b"{}", flags: int = 8) -> tuple[str, FakeExecutor]:
        """Open a session; its secret and its executor."""
        self.router.call("", body, flags=flags)
        executor = await self.keeper.working()
        asked = await executor.inbox.next(Kind.SESSION_OPEN)
        await executor.result(asked.number, b"")
        answer = await self.router.inbox.next(Kind.RESULT)
        return answer.json["session_id"].rpartition(".")[2], executor


@contextlib.asynccontextmanager
async def stage(
    spec: dict[str, Any] | None = None, *, routers: int = 1, ready: bool = True
) -> AsyncIterator[Stage]:
    """Start an agent; with `ready` wait until every router has its HELLO."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    fakes = [FakeRouter(folder / f"router-{i}.sock", f"{i:016x}") for i in range(routers)]
    for fake in fakes:
        await fake.start()
    agent, notices, pipe = await _start_agent(folder, spec or {}, fakes)
    keeper = FakeKeeper(folder / "keeper.sock")
    set_up = Stage(folder, agent, fakes, keeper, notices)
    try:
        if ready:
            await keeper.start()
            async with asyncio.timeout(PATIENCE):
                for fake in fakes:
                    await fake.connected.wait()
        yield set_up
    finally:
        if agent.returncode is None:
            agent.send_signal(signal.SIGINT)
        await agent.wait()
        keeper.hang_up()
        pipe.close()
        for fake in fakes:
            await fake.stop()
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def whole_worker(spec: dict[str, Any]) -> AsyncIterator[FakeRouter]:
    """Agent, keeper and executors as they are, for an adapter of `examples/`; its router."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    router = FakeRouter(folder / "router-0.sock", "0" * 16)
    await router.start()
    agent, _, pipe = await _start_agent(folder, spec, [router])
    keeper = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pythonpool_worker.keeper", "--config", str(folder / "worker.json"),
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(2 * PATIENCE):
            await router.connected.wait()
        yield router
    finally:
        agent.send_signal(signal.SIGINT)
        await agent.wait()
        await keeper.wait()
        pipe.close()
        await router.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _start_agent(
    folder: Path, spec: dict[str, Any], routers: list[FakeRouter]
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.ReadTransport]:
    document = {
        "pool": "general",
        "worker": "general-abcde",
        "generation": 1,
        "spec": spec,
        "import_path": [str(EXAMPLES)],
        "one_machine": True,
    }
    (folder / "worker.json").write_text(json.dumps(document))
    secret_read, secret_write = os.pipe()
    os.write(secret_write, b"s3cret\n")
    os.close(secret_write)
    notify_read, notify_write = os.pipe()
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pythonpool_worker.agent",
        "--config", str(folder / "worker.json"),
        *(word for each in routers for word in ("--router", each.address)),
        "--secret-fd", str(secret_read), "--notify-fd", str(notify_write),
        "--probe", f"unix:{folder / 'probe.sock'}",
        pass_fds=(secret_read, notify_write),
    )  # fmt: skip
    os.close(secret_read)
    os.close(notify_write)
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(notify_read, "rb")
    )
    return agent, reader, pipe
