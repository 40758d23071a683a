"""A caller's body that is longer than one frame: held at 64 KiB while the call waits, passed on
under the window once the worker has taken the call, and watched for its pace."""

from typing import TYPE_CHECKING

from pythonpool import messages
from pythonpool.messages import Kind

if TYPE_CHECKING:
    from pythonpool_router.call import Call

HELD_BYTES = 65_536 - 1024
"""Of a body at most this much is held before a worker takes the call; less than one CALL frame."""

PACE_BYTES = 2 * 1_048_576
PACE_SECONDS = 2.0
"""Once a slot waits for it, a body must come at 1 MiB/s over any two seconds."""


class Upload:
    """The rest of one body on its way to a worker.

    Attributes:
        is_whole: the caller has sent all of it.
        wants_more: the caller's socket should be read.
    """

    __slots__ = (
        "_call",
        "_chunks",
        "_has_ended",
        "_held",
        "_is_accepted",
        "_pace_bytes",
        "_pace_since",
        "_window",
        "is_whole",
        "wants_more",
    )

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._chunks: list[bytes] = []
        self._held = 0
        self._is_accepted = False
        self._has_ended = False
        self._window = messages.WINDOW
        self._pace_bytes = 0
        self._pace_since = 0.0
        self.is_whole = False
        self.wants_more = True

    def add(self, chunk: bytes) -> None:
        """The caller sent `chunk`."""
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._pace_bytes += len(chunk)
        if self._is_accepted:
            self._pass_on()
        self.wants_more = self._held < HELD_BYTES

    def finish(self) -> None:
        """The caller sent the last of it."""
        self.is_whole = True
        if self._is_accepted:
            self._pass_on()

    def first_part(self, room: int) -> tuple[list[bytes], bool]:
        """What goes into the CALL frame, at most `room` bytes, and whether more follows."""
        parts = self._cut(room)
        return parts, bool(self._chunks) or not self.is_whole

    def accepted(self, now: float) -> None:
        """The worker has a slot for it: from now on the slot waits for the caller."""
        self._is_accepted = True
        self._pace_since = now
        self._pace_bytes = 0
        self._pass_on()
        self._ask_for_more()

    def refused(self, parts: list[bytes]) -> None:
        """The worker did not take the call: what its CALL frame carried is held again."""
        self._chunks[:0] = parts
        self._held += sum(map(len, parts))
        self._is_accepted = False

    def credit(self, more: int) -> None:
        """The worker has room for `more` bytes more."""
        self._window += more
        self._pass_on()
        self._ask_for_more()

    def is_slow(self, now: float) -> bool:
        """Whether the slot waits for a caller that is slower than allowed. Ask each half second."""
        if not self._is_accepted or self.is_whole:
            return False
        if self._chunks:  # it is the worker that makes the caller wait
            self._pace_since, self._pace_bytes = now, 0
            return False
        if now - self._pace_since < PACE_SECONDS:
            return False
        slow = self._pace_bytes < PACE_BYTES
        self._pace_since, self._pace_bytes = now, 0
        return slow

    def _ask_for_more(self) -> None:
        if not self.wants_more and self._held < HELD_BYTES:
            self.wants_more = True
            self._call.reply.read_on()

    def _pass_on(self) -> None:
        link = self._call.link
        if link is None or not self._is_accepted or self._has_ended:
            return
        while self._chunks and self._window > 0:
            parts = self._cut(min(messages.MAX_PAYLOAD, self._window))
            size = sum(map(len, parts))
            self._window -= size
            link.put_data(Kind.DATA, self._call.number, parts, size)
        if self.is_whole and not self._chunks:
            self._has_ended = True
            link.put_data(Kind.END, self._call.number, [], 0)

    def _cut(self, room: int) -> list[bytes]:
        parts: list[bytes] = []
        chunks = self._chunks
        while chunks and room > 0:
            chunk = chunks[0]
            if len(chunk) <= room:
                parts.append(chunks.pop(0))
                room -= len(chunk)
                self._held -= len(chunk)
            else:
                parts.append(chunk[:room])
                chunks[0] = chunk[room:]
                self._held -= room
                room = 0
        return parts
