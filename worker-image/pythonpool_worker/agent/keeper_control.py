"""The control connection: one keeper at a time dials the agent (protocols.md, section 4)."""

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

_log = logging.getLogger("pythonpool.agent")

_PACKET_BYTES = 65_536

Message = dict[str, Any]


class KeeperControl:
    """Listens on `keeper.sock`; hands each message and its descriptor to `on_message`.

    `is_shared`: the keeper is another user of the same group (a container of the same pod).
    A descriptor (else -1) belongs to the receiver. `on_lost` is called when the keeper is gone.
    """

    def __init__(
        self,
        path: Path,
        on_message: Callable[[Message, int], None],
        on_lost: Callable[[], None],
        *,
        is_shared: bool,
    ) -> None:
        self._path = path
        self._on_message = on_message
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[bytes] = deque()
        self._keeper: socket.socket | None = None
        self._listener = _listen(path, 0o117 if is_shared else 0o177)
        self._loop.add_reader(self._listener, self._accept)

    @property
    def is_connected(self) -> bool:
        """Whether a keeper is there."""
        return self._keeper is not None

    def send(self, message: Message) -> None:
        """Say something to the keeper; without one nothing happens."""
        if self._keeper is None:
            return
        self._unsent.append(orjson.dumps(message))
        if len(self._unsent) == 1:
            self._write()

    def close(self) -> None:
        """Hang up: the keeper kills everything and exits."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        if self._keeper is not None:
            self._hang_up(self._keeper)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if self._keeper is not None:
            _log.warning("a second keeper was refused")
            connection.close()
            return
        connection.setblocking(False)
        self._keeper = connection
        self._loop.add_reader(connection, self._readable, connection)

    def _readable(self, keeper: socket.socket) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(keeper, _PACKET_BYTES, 4)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._lost(keeper)
            return
        for spare in descriptors[1:]:
            os.close(spare)
        try:
            message = orjson.loads(data)
            self._on_message(message, descriptors[0] if descriptors else -1)
        except Exception:  # noqa: BLE001 - one bad message must not end the worker
            _log.exception("a message of the keeper was not handled: %.200r", data)

    def _write(self) -> None:
        while self._unsent and self._keeper is not None:
            try:
                self._keeper.send(self._unsent[0])
            except BlockingIOError:
                self._loop.add_writer(self._keeper, self._write)
                return
            except OSError:
                return  # the reader sees the end
            self._unsent.popleft()
        if self._keeper is not None:
            self._loop.remove_writer(self._keeper)

    def _lost(self, keeper: socket.socket) -> None:
        self._hang_up(keeper)
        self._on_lost()

    def _hang_up(self, keeper: socket.socket) -> None:
        self._loop.remove_reader(keeper)
        self._loop.remove_writer(keeper)
        keeper.close()
        self._keeper = None
        self._unsent.clear()


def _listen(path: Path, mask: int) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(mask)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(4)
    listener.setblocking(False)
    return listener
