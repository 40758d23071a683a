"""The executor's end of the channel: whole requests in, frames out.

One thread receives; any thread may send. Protocols.md section 3 says what the frames mean.
"""

import json
import socket
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pythonpool.messages import (
    HEADER_BYTES,
    LIMITS,
    MAX_PAYLOAD,
    MORE,
    FrameReader,
    Kind,
    ProtocolError,
    Run,
    frame,
    header,
    pieces,
    read_run,
)

# More than this costs a blocking reader 11 us a call: malloc maps and unmaps each buffer.
_RECEIVE_BYTES = 65_536
_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT


class ChannelClosedError(Exception):
    """The agent has closed its end: nobody is left to answer."""


@dataclass(frozen=True, slots=True)
class SessionOpen:
    """A session begins, or goes on from a snapshot.

    Attributes:
        session_id: its handle.
        context: what the caller gave, or None.
        snapshot: what `save` gave in another process, or None.
    """

    session_id: str
    context: Any
    snapshot: bytes | None


@dataclass(frozen=True, slots=True)
class SessionClose:
    """A session ends."""

    session_id: str


Request = Run | SessionOpen | SessionClose


@dataclass(slots=True)
class Limits:
    """What CONFIG may change while the executor lives, in bytes."""

    result_bytes: int
    state_bytes: int


class Channel:
    """Requests from the agent, and the frames that answer them.

    Attributes:
        limits: of results and of states, as they are now.
        cancelled: numbers of requests that the agent has cancelled; the one who answers a request
            takes its number out.
    """

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self.limits = limits
        self._socket = connection
        self._reader = FrameReader()
        self._ready: deque[tuple[int, Request]] = deque()
        self._open: dict[int, tuple[Kind, bytes, list[bytes]]] = {}
        self._sending = Lock()
        self._hooks: dict[int, Callable[[], object]] = {}
        self.cancelled: set[int] = set()

    def fileno(self) -> int:
        """The descriptor, to be watched for a CANCEL."""
        return self._socket.fileno()

    def receive(self) -> tuple[int, Request] | None:
        """The next request and its number, its body whole; None when the agent is gone."""
        while not self._ready:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except ConnectionError:
                return None
            if not data:
                return None
            for kind, number, payload in self._reader.feed(data):
                self._take(kind, number, payload)
        return self._ready.popleft()

    def is_cancel_waiting(self, number: int) -> bool:
        """Whether the frame to be received next cancels `number`, or the agent has gone.

        Only for one who has just received `number`, and from any thread: nothing is taken.
        """
        if number in self.cancelled:
            return True
        try:
            data = self._socket.recv(HEADER_BYTES, _PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not data or data == header(Kind.CANCEL, number, 0)

    @contextmanager
    def on_cancel(self, number: int, hook: Callable[[], object]) -> Iterator[None]:
        """Call `hook` when `number` is cancelled, from the thread that receives; or at once."""
        self._hooks[number] = hook
        if number in self.cancelled:
            hook()
        try:
            yield
        finally:
            del self._hooks[number]

    def send(self, frames: bytes) -> None:
        """Send whole frames.

        Raises:
            ChannelClosedError: the agent is gone.
        """
        try:
            with self._sending:
                self._socket.sendall(frames)
        except OSError as error:
            raise ChannelClosedError from error

    def send_body(self, kind: Kind, number: int, head: bytes, body: bytes) -> None:
        """Send a frame whose payload is `head` and `body`, cut into as many as it takes.

        The first byte of `head` is the flags; MORE is added where it is needed.
        """
        if len(head) + len(body) <= MAX_PAYLOAD:
            self.send(frame(kind, number, head + body))
            return
        first, rest = pieces(body, len(head))
        head = bytes((head[0] | MORE,)) + head[1:]
        self.send(b"".join((header(kind, number, len(head) + len(first)), head, first)))
        for part in rest:
            self.send(header(Kind.DATA, number, len(part)) + part)
        self.send(frame(Kind.END, number))

    def _take(self, kind: int, number: int, payload: bytes) -> None:
        if kind == Kind.RUN:
            run = read_run(payload)
            if run.flags & MORE:
                self._open[number] = (Kind.RUN, payload, [])
            else:
                self._ready.append((number, run))
        elif kind == Kind.SESSION_OPEN:
            if payload[0] & MORE:
                self._open[number] = (Kind.SESSION_OPEN, payload, [])
            else:
                self._ready.append((number, _session_open(payload)))
        elif kind == Kind.SESSION_CLOSE:
            self._ready.append((number, SessionClose(payload[1 : 1 + payload[0]].decode())))
        elif kind == Kind.CANCEL:
            self.cancelled.add(number)
            hook = self._hooks.get(number)
            if hook is not None:
                hook()
        elif kind == Kind.CONFIG:
            self.limits.result_bytes, self.limits.state_bytes = LIMITS.unpack(payload)
        elif kind == Kind.DATA and number in self._open:
            self._open[number][2].append(payload)
        elif kind == Kind.END and number in self._open:
            self._ready.append((number, self._whole(number)))
        else:
            raise ProtocolError(f"a frame of kind {kind} on the channel of an executor")

    def _whole(self, number: int) -> Request:
        kind, first, rest = self._open.pop(number)
        body = b"".join((first, *rest))
        return read_run(body) if kind == Kind.RUN else _session_open(body)


def _session_open(payload: bytes) -> SessionOpen:
    given = json.loads(payload[1:])
    snapshot = given.get("snapshot")
    return SessionOpen(
        given["session_id"],
        given.get("context"),
        None if snapshot is None else b64decode(snapshot),
    )
