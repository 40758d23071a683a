"""The socket to one executor: bytes in, bytes out; bodies are never looked into."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol

from pythonpool.messages import FrameReader, ProtocolError
from pythonpool.turns import hand_over_from, leave_to

_log = logging.getLogger("pythonpool.agent")

# A recv of more costs 11 µs extra in malloc (notes on performance, section 3).
_READ_BYTES = 65_536


class OnEnd(Protocol):
    """Told that nothing more is read."""

    def __call__(self, *, is_broken: bool) -> None:
        """`is_broken`: because the other end broke the rules."""
        ...


class Channel:
    """The agent's end of an executor's socket pair, non-blocking."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._fd = end.fileno()
        self._on_frame: Callable[[int, int, bytes], None] = _pass_over
        self._on_end: OnEnd = _pass_over_end
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader()
        self._unsent: deque[memoryview] = deque()
        self._is_open = True
        self._is_reading = False

    def listen(self, on_frame: Callable[[int, int, bytes], None], on_end: "OnEnd") -> None:
        """Read from now on.

        `on_frame(kind, number, payload)` gets each frame, and may raise ProtocolError; `on_end` is
        called when the other end is closed or has broken the rules (`is_broken`): that is no death,
        the keeper tells of deaths.
        """
        self._on_frame = on_frame
        self._on_end = on_end
        hand_over_from(self._fd, self._take, self._fail)
        self.resume()

    def send(self, *parts: bytes | memoryview) -> None:
        """Write parts in order; what the kernel does not take now is kept."""
        if not self._is_open:
            return
        if not self._unsent:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # it has died: the keeper will say so
            if sent == len(data):
                return
            self._unsent.append(memoryview(data)[sent:])
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._unsent.extend(memoryview(part) for part in parts)

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if self._is_open and self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self._is_open and not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._fd, self._readable)

    def drain(self) -> None:
        """Read what a dead executor had written."""
        while self._is_open and self._read_once():
            continue

    def close(self) -> None:
        """Burn it: nothing is read or written any more."""
        if not self._is_open:
            return
        self._is_open = False
        leave_to(self._fd)
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._unsent.clear()
        self._socket.close()

    def _readable(self) -> None:
        self._read_once()

    def _read_once(self) -> bool:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end(is_broken=False)
            return False
        return self._take(data)

    def _take(self, data: bytes) -> bool:
        try:
            for kind, number, payload in self._frames.feed(data):
                self._on_frame(kind, number, payload)
                if not self._is_open:
                    return False
        except ProtocolError as error:
            _log.warning("an executor broke the channel's rules: %s", error)
            self._fail()
            return False
        return True

    def _fail(self) -> None:
        self._end(is_broken=True)

    def _end(self, *, is_broken: bool) -> None:
        self.pause()
        self._on_end(is_broken=is_broken)

    def _writable(self) -> None:
        while self._unsent:
            part = self._unsent[0]
            try:
                sent = self._socket.send(part)
            except BlockingIOError:
                return
            except OSError:
                self._unsent.clear()
                break
            if sent < len(part):
                self._unsent[0] = part[sent:]
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._fd)


def _pass_over(_kind: int, _number: int, _payload: bytes) -> None:
    """Nobody listens yet."""


def _pass_over_end(*, is_broken: bool) -> None:
    """Nobody listens yet."""
