"""JSON packets with descriptors over a SOCK_SEQPACKET Unix socket; never blocks.

Carries both conversations of the keeper: control (with the agent) and the template socket.
"""

import array
import json
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pythonpool_worker.keeper.loop import Loop

Message = dict[str, Any]
OnMessage = Callable[[Message, list[int]], None]

MAX_PACKET = 65_536
MAX_DESCRIPTORS = 4


class Packets:
    """One end of a conversation.

    `on_message` gets each message and the descriptors that came with it, which are then its own;
    `on_closed` is called once, when the other end is gone.
    """

    def __init__(
        self, loop: Loop, sock: socket.socket, on_message: OnMessage, on_closed: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._on_message = on_message
        self._on_closed = on_closed
        self._queue: deque[tuple[bytes, Sequence[int]]] = deque()
        self._open = True
        sock.setblocking(False)
        loop.read(sock.fileno(), self.drain)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send now, or as soon as the other end reads. Takes the descriptors: they get closed."""
        if not self._open:
            _close_all(descriptors)
            return
        data = json.dumps(message, separators=(",", ":")).encode()
        self._queue.append((data, descriptors))
        if len(self._queue) == 1:
            self._flush()

    def drain(self) -> None:
        """Read and hand on all that is there now; called by the loop, or to be sure."""
        while self._open:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._sock, MAX_PACKET, MAX_DESCRIPTORS)
            except BlockingIOError:
                return
            except ConnectionError:
                data, descriptors = b"", []
            if not data:
                self.close()
                self._on_closed()
                return
            self._on_message(json.loads(data), descriptors)

    def close(self) -> None:
        """Say and hear no more; `on_closed` is not called by this."""
        if not self._open:
            return
        self._open = False
        self._loop.forget_reader(self._sock.fileno())
        self._loop.forget_writer(self._sock.fileno())
        self._sock.close()
        for _, descriptors in self._queue:
            _close_all(descriptors)
        self._queue.clear()

    def _flush(self) -> None:
        while self._open and self._queue:
            data, descriptors = self._queue[0]
            rights = array.array("i", descriptors)
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
            try:
                self._sock.sendmsg([data], control)
            except BlockingIOError:
                self._loop.write(self._sock.fileno(), self._flush)
                return
            except ConnectionError:
                pass  # the reader sees the end, and says so once
            self._queue.popleft()
            _close_all(descriptors)
        if self._open:
            self._loop.forget_writer(self._sock.fileno())


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
