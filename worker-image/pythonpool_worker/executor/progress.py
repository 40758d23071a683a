"""What a running call says and asks: progress to its caller, and whether it is cancelled."""

import time
from collections.abc import Callable
from typing import Any

from pythonpool.messages import Kind, frame
from pythonpool_worker.executor.channel import Channel
from pythonpool_worker.executor.results import encode

MAX_BYTES = 48 * 1024
"""Of the fields of one progress, as JSON; they travel in one frame."""

# 50 a second: more than anybody reads, and a loop that reports each step floods nobody.
_PERIOD_SECONDS = 0.02
# 100 a second at most: a look costs 2.4 us.
_LOOK_SECONDS = 0.01


class Progress:
    """Sends the progress of one streamed call, the last one always."""

    __slots__ = ("_channel", "_held", "_number", "_sent_at")

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._sent_at = 0.0
        self._held: bytes | None = None

    def __call__(self, fraction: float, fields: dict[str, Any]) -> None:
        """Send it, or hold it back until the next.

        Raises:
            TypeError: JSON can not carry a field.
            ValueError: the fields are over MAX_BYTES.
        """
        text, _ = encode({"fraction": fraction, **fields})
        if len(text) > MAX_BYTES:
            raise ValueError(f"progress of {len(text)} bytes must be at most {MAX_BYTES}")
        now = time.monotonic()
        if now - self._sent_at < _PERIOD_SECONDS:
            self._held = text
        else:
            self._held = None
            self._sent_at = now
            self._channel.send(frame(Kind.PROGRESS, self._number, text))

    def flush(self) -> None:
        """Send what was held back: the call is over."""
        if self._held is not None:
            self._channel.send(frame(Kind.PROGRESS, self._number, self._held))
            self._held = None


class Cancelled:
    """Whether one call is cancelled: asked as often as the command likes, looked up seldom."""

    __slots__ = ("_look", "_looked_at", "_number", "_value")

    def __init__(self, look: Callable[[int], bool], number: int) -> None:
        self._look = look
        self._number = number
        self._looked_at = 0.0
        self._value = False

    def __call__(self) -> bool:
        """See `Context.is_cancelled`."""
        if not self._value:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self._value = self._look(self._number)
        return self._value
