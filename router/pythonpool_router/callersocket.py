"""The socket of one caller: writing, reading with pauses, and patience with who takes nothing."""

import asyncio
from abc import ABC, abstractmethod

from pythonpool.turns import hand_over, leave

STUCK_SECONDS = 30.0
LINGER_SECONDS = 5.0
CHECK_SECONDS = 0.5
NEVER = float("inf")

_WRITE_HIGH = 65_536


class CallerSocket(asyncio.Protocol, ABC):
    """What a connection is below its requests.

    Attributes:
        deadline: monotonic seconds at which `expired` is to be called.
        is_stuck: the caller takes no bytes at the moment.
    """

    def __init__(self) -> None:
        self.deadline = NEVER
        self.is_stuck = False
        self._loop = asyncio.get_running_loop()
        self._is_closing = self._is_paused = False
        self._stuck_at = 0.0
        self._stuck_bytes = 0
        self._transport: asyncio.Transport

    # -- what the requests above have to say ----------------------------------------------------

    @abstractmethod
    def overdue(self, now: float) -> None:
        """The deadline has come, and it is not one of the socket."""

    @abstractmethod
    def stuck(self, is_stuck: bool) -> None:
        """The caller takes no (takes) bytes; in the second case the next deadline is to be set."""

    # -- the socket -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_HIGH)
        hand_over(transport, self.data_received)

    def connection_lost(self, error: Exception | None) -> None:
        """The caller has gone."""
        leave(self._transport)
        self.deadline = NEVER
        self._is_closing = True

    def eof_received(self) -> bool:
        """A caller that half-closes has gone."""
        return False

    def write(self, data: bytes) -> None:
        """Write bytes of the present answer."""
        self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection: the answer can not be made whole."""
        self._transport.abort()

    def pause(self) -> None:
        """Read nothing more for now."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def read_on(self) -> None:
        """There is room for more bytes of the caller."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def close(self, has_read_all: bool) -> None:
        """Close, but let a caller that still sends read its answer first."""
        self._is_closing = True
        if has_read_all:
            self._transport.close()
            return
        self.read_on()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self.deadline = self._loop.time() + LINGER_SECONDS

    # -- time and room --------------------------------------------------------------------------

    def expired(self, now: float) -> None:
        """The deadline has come."""
        if self.is_stuck:
            self._check_stuck(now)
        elif self._is_closing:
            self._transport.abort()
        else:
            self.overdue(now)

    def wake_in(self, seconds: float) -> None:
        """Set the deadline."""
        self.deadline = self._loop.time() + seconds

    def pause_writing(self) -> None:
        """The caller takes no bytes; thirty seconds of that cut it off."""
        self.is_stuck = True
        self._stuck_at = self._loop.time()
        self._stuck_bytes = self._transport.get_write_buffer_size()
        self.deadline = self._stuck_at + CHECK_SECONDS
        self.stuck(True)

    def resume_writing(self) -> None:
        """The caller takes bytes again."""
        self.is_stuck = False
        self.stuck(False)

    def _check_stuck(self, now: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting != self._stuck_bytes:
            self._stuck_bytes, self._stuck_at = waiting, now
        if now - self._stuck_at >= STUCK_SECONDS:
            self._transport.abort()
        else:
            self.deadline = now + CHECK_SECONDS
