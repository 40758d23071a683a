"""Writes lines to a terminal, pipe or file without ever waiting for whoever reads there."""

import os
import select
import time
from collections import deque

MAX_WAITING_BYTES = 256 * 1024
"""What is kept for a reader that does not read; what comes then is dropped and counted."""

# A pipe that says it can be written takes so much at once.
_PIECE_BYTES = 4096


class Outlet:
    """One descriptor to write to. `flush` it now and then.

    The descriptor keeps its flags: they belong to everybody who shares it, a shell too.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0

    def put(self, text: str) -> None:
        """Write now, or as soon as the reader takes it."""
        data = text.encode(errors="replace")
        if self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
            self._dropped += 1
            return
        self._keep(data)
        self.flush()

    def flush(self, seconds: float = 0.0) -> None:
        """Write what the reader takes, within so much time."""
        give_up = time.monotonic() + seconds
        try:
            while self._waiting and self._is_writable(give_up - time.monotonic()):
                self._write_piece()
        except OSError:
            self._to_nobody()

    def _keep(self, data: bytes) -> None:
        self._waiting += [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)]
        self._waiting_bytes += len(data)

    def _is_writable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _write_piece(self) -> None:
        piece = self._waiting[0]
        written = os.write(self.descriptor, piece)
        self._waiting_bytes -= written
        if written < len(piece):
            self._waiting[0] = piece[written:]
            return
        self._waiting.popleft()
        if self._dropped and not self._waiting:
            dropped, self._dropped = self._dropped, 0
            self._keep(f"({dropped} lines were not written: nobody read)\n".encode())

    def _to_nobody(self) -> None:
        """Nobody reads any more; the pools go on, and /dev/null takes the rest."""
        self._waiting.clear()
        self._waiting_bytes = self._dropped = 0
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.descriptor)
        os.close(null)
