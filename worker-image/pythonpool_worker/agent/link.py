"""One connection to one router: frames in, frames out, silence.

Whoever makes it gives the handler of frames. It never stops reading. What is written in one turn
of the loop goes out at once, control before data.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import orjson

from pythonpool.messages import (
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    SILENCE_SECONDS,
    FrameReader,
    Kind,
    ProtocolError,
    frame,
    header,
)
from pythonpool.turns import end_of_turn, hand_over, leave

if TYPE_CHECKING:
    from pythonpool_worker.agent.call import Call
    from pythonpool_worker.agent.delivery import Delivery

_log = logging.getLogger("pythonpool.agent")

FrameHandler = Callable[["Link", int, int, bytes], None]


class Link(asyncio.Protocol):
    """The agent's end of a link.

    Attributes:
        router: the router's instance, empty until its HELLO.
        calls: by the router's numbers, those without their terminal frame.
        deliveries: by number, what still waits for the router's window.
        last_number: the highest number of a CALL so far; numbers rise.
        line: calls that wait at the router, as it says.
        last_heard: when bytes came last, seconds of the loop's clock.
    """

    def __init__(
        self,
        hello: bytes,
        on_frame: FrameHandler,
        on_open: Callable[["Link"], None],
        on_lost: Callable[["Link"], None],
    ) -> None:
        self.router = ""
        self.calls: dict[int, Call] = {}
        self.deliveries: dict[int, Delivery] = {}
        self.last_number = 0
        self.line = 0
        self.last_heard = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hello = hello
        self._on_frame = on_frame
        self._on_open = on_open
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._control: list[bytes | memoryview] = []
        self._data: list[bytes | memoryview] = []
        self._is_flushing = False
        self._at_end = end_of_turn()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """The router has said HELLO and the connection lives."""
        return self._transport is not None and bool(self.router)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        queued = sum(map(len, self._control)) + sum(map(len, self._data))
        return queued + (self._transport.get_write_buffer_size() if self._transport else 0)

    def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Queue a control frame; after the connection is lost, nothing happens."""
        self._control.append(frame(kind, number, payload))
        if not self._is_flushing:
            self._is_flushing = True
            self._at_end(self._flush)

    def send_data(self, kind: int, number: int, payload: bytes | memoryview) -> None:
        """Queue a frame that goes after control and is not copied."""
        self._data.append(header(kind, number, len(payload)))
        self._data.append(payload)
        if not self._is_flushing:
            self._is_flushing = True
            self._at_end(self._flush)

    def close(self) -> None:
        """Write what is queued, then close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def is_silent(self) -> bool:
        """Nothing came for SILENCE_SECONDS."""
        return self._loop.time() - self.last_heard > SILENCE_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say HELLO."""
        self._transport = cast("asyncio.Transport", transport)
        self.last_heard = self._loop.time()
        hand_over(self._transport, self.data_received)
        self._transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Hand on each frame; one that can not be handled harms only itself."""
        self.last_heard = self._loop.time()
        on_frame = self._on_frame
        try:
            for kind, number, payload in self._reader.feed(data):
                if not self.router:
                    self._greeted(kind, payload)
                    continue
                try:
                    on_frame(self, kind, number, payload)
                except ProtocolError:
                    raise
                except Exception:  # noqa: BLE001 - one bad frame must not close the link for everybody
                    _log.exception("frame %d of call %d was not handled", kind, number)
        except ProtocolError as error:
            _log.warning("link to %s closed: %s", self.router or "a router", error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its callers are gone."""
        if self._transport is not None:
            leave(self._transport)
        self._transport = None
        self._control.clear()
        self._data.clear()
        if not self.closed.done():
            self.closed.set_result(None)
        self._on_lost(self)

    def _greeted(self, kind: int, payload: bytes) -> None:
        if kind != Kind.HELLO:
            raise ProtocolError(f"frame {kind} before HELLO")
        try:
            hello = orjson.loads(payload)
            low, high = hello["protocol"]
            router = str(hello["router"])
        except (ValueError, KeyError, TypeError):
            raise ProtocolError("a HELLO that is malformed") from None
        if max(low, PROTOCOL_MIN) > min(high, PROTOCOL_MAX):
            raise ProtocolError(f"no protocol in common: the router speaks {low} to {high}")
        self.router = router
        self._on_open(self)

    def _flush(self) -> None:
        self._is_flushing = False
        control, data = self._control, self._data
        if not control and not data:
            return
        if self._transport is not None and not self._transport.is_closing():
            if len(control) == 1 and not data:
                self._transport.write(control[0])
            else:
                self._transport.writelines([*control, *data])
        control.clear()
        data.clear()
