"""The agent's side of a channel, spoken to a real executor process."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pythonpool.messages import (
    END_HEAD,
    MORE,
    RESULT_HEAD,
    SNAPSHOT_HEAD,
    STREAM,
    FrameReader,
    Kind,
    Run,
    frame,
    header,
    pieces,
    run_head,
)

EXAMPLES = Path(__file__).parent.parent / "examples"
SECONDS = 20.0

# What the keeper does before it calls the executor, as far as the executor's own work needs it.
_PROGRAM = """
import ctypes, json, os, socket, sys
from pythonpool.sdk.loading import load_adapter
from pythonpool_worker.executor import ExecutorSettings, run_executor
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
spec, settings, number = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
adapter = load_adapter(spec, settings["config"])
adapter.start()
os._exit(run_executor(adapter, socket.socket(fileno=number), ExecutorSettings(**settings)))
"""


@dataclass
class Answered:
    """All frames of one request, put together."""

    kind: Kind = Kind.ERROR
    flags: int = 0
    run_us: int = 0
    body: bytes = b""
    snapshot: bytes | None = None
    snapshot_flags: int = 0
    order: list[Kind] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[Any] = field(default_factory=list)

    @property
    def value(self) -> Any:
        """The JSON of a RESULT; the problem of an ERROR."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """`ok`, or the error's code."""
        return "ok" if self.kind == Kind.RESULT else str(self.value["code"])


class Executor:
    """One executor process and the channel to it."""

    def __init__(self, spec: str, **settings: Any) -> None:
        given = {"pool": "troubles", "worker": "troubles-x7k2p", "config": {}} | settings
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(SECONDS)
        label = given.get("label_fd")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, spec, json.dumps(given), str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
            pass_fds=[theirs.fileno(), *([] if label is None else [label])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._reader = FrameReader()
        self._ready: deque[tuple[int, int, bytes]] = deque()
        self._number = 0
        self._rest: dict[int, tuple[Kind, bytes, list[bytes]]] = {}

    def close(self) -> None:
        """Close the channel, and see that the process is gone."""
        self.channel.close()
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            self.process.communicate()

    def frame(self) -> tuple[int, int, bytes] | None:
        """The next frame; None when the channel ended."""
        while not self._ready:
            try:
                data = self.channel.recv(65_536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._ready.extend(self._reader.feed(data))
        return self._ready.popleft()

    def opened(self) -> tuple[int, int, bytes]:
        """PID has come; then READY or FAILED, which is returned."""
        first, second = self.frame(), self.frame()
        assert first is not None
        assert first[0] == Kind.PID
        assert int.from_bytes(first[2], "big") == self.process.pid
        assert second is not None
        return second

    def send(
        self,
        command: str,
        args: dict[str, Any] | bytes = b"",
        *,
        stream: bool = False,
        session: str = "",
        seconds: float = 30.0,
    ) -> int:
        """Send one RUN; returns its number."""
        self._number += 1
        body = args if isinstance(args, bytes) else json.dumps(args).encode()
        flags = STREAM if stream else 0
        run = Run(
            flags, seconds, command.encode(), b"call-%d" % self._number, session.encode(), b"", b""
        )
        self._send(Kind.RUN, run_head(run), body)
        return self._number

    def open_session(
        self, session: str, context: Any = None, snapshot: bytes | None = None
    ) -> Answered:
        """SESSION_OPEN and its answer."""
        self._number += 1
        saved = None if snapshot is None else b64encode(snapshot).decode()
        given = {"session_id": session, "context": context or {}, "snapshot": saved}
        self._send(Kind.SESSION_OPEN, b"\0", json.dumps(given).encode())
        return self.wait(self._number)

    def close_session(self, session: str) -> Answered:
        """SESSION_CLOSE and its answer."""
        self._number += 1
        text = session.encode()
        self.channel.sendall(frame(Kind.SESSION_CLOSE, self._number, bytes((len(text),)) + text))
        return self.wait(self._number)

    def cancel(self, number: int) -> None:
        """Send CANCEL."""
        self.channel.sendall(frame(Kind.CANCEL, number))

    def call(self, command: str, args: dict[str, Any] | bytes = b"", **options: Any) -> Answered:
        """Send one RUN and wait for its answer."""
        return self.wait(self.send(command, args, **options))

    def wait(self, *numbers: int) -> Answered:
        """The answer of the first of `numbers` that is answered.

        Raises:
            EOFError: the channel ended first.
        """
        found: dict[int, Answered] = {}
        while (received := self.frame()) is not None:
            kind, number, payload = received
            answer = found.setdefault(number, Answered())
            answer.order.append(Kind(kind))
            if self._take(answer, Kind(kind), number, payload) and number in numbers:
                return answer
        raise EOFError("the executor has closed the channel")

    def _send(self, kind: Kind, head: bytes, body: bytes) -> None:
        first, rest = pieces(body, len(head))
        if rest:
            head = bytes((head[0] | MORE,)) + head[1:]
        self.channel.sendall(header(kind, self._number, len(head) + len(first)) + head + first)
        for part in rest:
            self.channel.sendall(header(Kind.DATA, self._number, len(part)) + part)
        if rest:
            self.channel.sendall(frame(Kind.END, self._number))

    def _take(self, answer: Answered, kind: Kind, number: int, payload: bytes) -> bool:
        """Whether the answer is now whole."""
        if kind == Kind.DATA:
            self._rest[number][2].append(payload)
            return False
        if kind == Kind.END:
            kind, first, rest = self._rest.pop(number)
            return _put(answer, kind, b"".join((first, *rest)))
        if kind in (Kind.RESULT, Kind.SNAPSHOT, Kind.CHUNK) and payload[0] & MORE:
            self._rest[number] = (kind, payload, [])
            return False
        return _put(answer, kind, payload)


def _put(answer: Answered, kind: Kind, payload: bytes) -> bool:
    if kind == Kind.PROGRESS:
        answer.progress.append(json.loads(payload))
    elif kind == Kind.CHUNK:
        answer.chunks.append(json.loads(payload[1:]))
    elif kind == Kind.SNAPSHOT:
        answer.snapshot_flags, total = SNAPSHOT_HEAD.unpack_from(payload)
        answer.snapshot = payload[SNAPSHOT_HEAD.size :]
        assert len(answer.snapshot) == total
    elif kind == Kind.RESULT:
        answer.kind = kind
        answer.flags, answer.run_us, total = RESULT_HEAD.unpack_from(payload)
        answer.body = payload[RESULT_HEAD.size :]
        assert len(answer.body) == total
    elif kind == Kind.ERROR:
        answer.kind = kind
        answer.flags, answer.run_us = END_HEAD.unpack_from(payload)
        answer.body = payload[END_HEAD.size :]
    return kind in (Kind.RESULT, Kind.ERROR)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for a condition outside this process."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        select.select([], [], [], 0.01)
