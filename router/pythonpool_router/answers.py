"""How an execute is answered: one whole body, or an error. Streams of events: see streams.py."""

from typing import TYPE_CHECKING

from pythonpool.errors import PythonPoolError
from pythonpool_router import responses
from pythonpool_router.call import Call, Reply

if TYPE_CHECKING:
    from pythonpool_router.front import Connection

GRANT_BYTES = 65_536
"""Credit is given back in pieces of at least this much."""


class Answer(Reply):
    """The ordinary answer of one call, written to one connection."""

    __slots__ = ("_connection", "_dispatcher", "_owed", "_remaining", "call", "has_head")

    def __init__(self, connection: "Connection") -> None:
        self.call: Call | None = None
        self.has_head = False
        self._connection = connection
        self._dispatcher = connection.dispatcher
        self._remaining = 0
        self._owed = 0

    def began(self, call: Call) -> None:
        """Nothing is said before the end."""

    def progress(self, payload: bytes) -> None:
        """Nobody asked for it."""

    def chunk(self, more: bool, text: bytes) -> None:
        """Nobody asked for it."""

    def result(self, call: Call, octets: bool, total: int, first: bytes) -> None:
        """Write head and body, or the head and as much as is here."""
        connection = self._connection
        self._dispatcher.answered(call)
        worker = call.worker
        is_last = connection.is_last
        head = connection.site.heads.head(
            octets, total, call.number, worker.name_bytes if worker is not None else b"",
            call.waited, call.run_us, is_last,
        )  # fmt: skip
        if total == len(first):
            connection.write(head + first)
            connection.answered(is_last)
            return
        self.has_head = True
        self._remaining = total - len(first)
        connection.write(head + first)

    def data(self, part: bytes) -> None:
        """Write more of the body; what the caller takes is granted to the worker."""
        self._remaining -= len(part)
        if self._remaining < 0:
            self._connection.abort()
            return
        self._connection.write(part)
        self._owe(len(part))

    def end(self) -> None:
        """The body is whole; one that is too short cuts the connection, so that it is seen."""
        if self._remaining:
            self._connection.abort()
            return
        self._connection.finished()

    def failed(self, call: Call, error: PythonPoolError) -> None:
        """Write the problem; after the head only a cut connection can tell it."""
        connection = self._connection
        if self.has_head:
            connection.abort()
            return
        fields = responses.error_fields(error)
        if error.worker is not None:
            fields.append(responses.timing(call.waited * 1e3, call.run_us / 1e3))
        connection.answer_problem(error, fields)

    def read_on(self) -> None:
        """There is room for more of the body."""
        self._connection.read_on()

    def drained(self) -> None:
        """The connection takes bytes again: the worker may send on."""
        self._owe(0, at_least=1)

    def tick(self, now: float) -> float | None:
        """Called at the time that was asked for; returns the next, None for none."""
        return None

    def _owe(self, size: int, at_least: int = GRANT_BYTES) -> None:
        self._owed += size
        call = self.call
        if self._owed >= at_least and not self._connection.is_stuck and call is not None:
            if call.link is not None:
                call.link.grant(call, self._owed)
            self._owed = 0
