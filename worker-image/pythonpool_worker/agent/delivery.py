"""What goes to a router under its window: long results, and the chunks of streams.

A delivery begins when a call has more to say than fits and ends when its last byte was handed to
the link. The slot has been free since the result was whole.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pythonpool.messages import WINDOW, Kind

if TYPE_CHECKING:
    from pythonpool_worker.agent.link import Link

STALL_SECONDS = 30.0
"""A router that opens no window for so long does not want the rest."""

HIGH_WATER = 1 << 20
"""Unsent bytes of a stream above which its executor is not read."""


class Delivery:
    """Frames of one call in order, counted against the window of its router.

    `moved_at` is when the window last opened or a frame last went out.
    """

    __slots__ = ("_frames", "_link", "_number", "_on_low", "_window", "moved_at", "unsent")

    def __init__(self, link: "Link", number: int, now: float) -> None:
        self._link = link
        self._number = number
        self._window = WINDOW
        self._frames: deque[tuple[int, bytes | memoryview]] = deque()
        self._on_low: Callable[[], None] | None = None
        self.unsent = 0
        self.moved_at = now

    @property
    def is_done(self) -> bool:
        """Everything was handed to the link."""
        return not self._frames

    def put(self, kind: int, payload: bytes | memoryview) -> None:
        """The next frame."""
        self._frames.append((kind, payload))
        self.unsent += len(payload)
        self._push()

    def credit(self, count: int, now: float) -> None:
        """The router has taken `count` bytes."""
        self._window += count
        self.moved_at = now
        self._push()
        if self._on_low is not None and self.unsent <= HIGH_WATER // 2:
            on_low, self._on_low = self._on_low, None
            on_low()

    def when_low(self, action: Callable[[], None]) -> None:
        """Call `action` once, when half of the high water is left."""
        self._on_low = action

    def drop(self) -> None:
        """Nothing more is sent; whoever waited for low water goes on."""
        self._frames.clear()
        self.unsent = 0
        if self._on_low is not None:
            on_low, self._on_low = self._on_low, None
            on_low()

    def is_stalled(self, now: float) -> bool:
        """The router has opened no window for STALL_SECONDS although something waits."""
        return bool(self._frames) and now - self.moved_at > STALL_SECONDS

    def _push(self) -> None:
        frames = self._frames
        while frames:
            kind, payload = frames[0]
            if kind in _COUNTED:
                # The first byte over the window waits; a frame is never cut for it.
                if self._window < len(payload):
                    return
                self._window -= len(payload)
            frames.popleft()
            self.unsent -= len(payload)
            self._link.send_data(kind, self._number, payload)


_COUNTED = (Kind.DATA, Kind.CHUNK)
