"""Answers as a stream of events (text/event-stream)."""

import base64
from typing import TYPE_CHECKING

import orjson

from pythonpool.errors import PythonPoolError
from pythonpool_router import responses
from pythonpool_router.answers import Answer
from pythonpool_router.call import ANSWERED, Call

if TYPE_CHECKING:
    from pythonpool_router.front import Connection

COMMENT_SECONDS = 15.0


class StreamAnswer(Answer):
    """One call's events: progress and chunk, and at the end exactly one result or error.

    Until the command begins an error is an ordinary answer with its own status.
    """

    __slots__ = ("_event", "_is_open", "_octets", "_rest")

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self._event = 0
        self._is_open = False
        self._octets = False
        self._rest = b""

    def began(self, call: Call) -> None:
        """Write the head."""
        if self.has_head:
            return
        self.has_head = True
        connection = self._connection
        worker = call.worker
        fields = [
            (b"Content-Type", responses.EVENTS),
            (b"Cache-Control", b"no-store"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Pythonpool-Execution-Id", connection.dispatcher.execution_id(call).encode()),
            (b"Pythonpool-Worker", worker.name_bytes if worker is not None else b""),
            responses.timing(call.waited * 1e3, None),
        ]
        if worker is not None and worker.catalogue.get(call.command, {}).get("streaming"):
            # A null result alone does not tell a client that the whole result is an empty list.
            fields.append((b"Pythonpool-Streaming", b"?1"))
        connection.write(connection.head(200, fields))
        connection.wake_in(COMMENT_SECONDS)

    def progress(self, payload: bytes) -> None:
        """One `progress` event; a caller that takes no bytes misses it."""
        if self._connection.is_stuck:
            return
        self._whole(b"progress", payload)

    def chunk(self, more: bool, text: bytes) -> None:
        """One `chunk` event, or its beginning."""
        if more:
            self._open(b"chunk")
            self._data(text)
        else:
            self._whole(b"chunk", text)
        self._owe(len(text) + 1)

    def result(self, call: Call, octets: bool, total: int, first: bytes) -> None:
        """The `result` event, or its beginning; bytes stand as `{"$bytes": BASE64}`."""
        self.began(call)
        self._connection.dispatcher.answered(call)
        self._octets = octets
        self._open(b"result")
        if octets:
            self._write(b'{"$bytes":"')
        self._data(first)
        if total == len(first):
            self.end()

    def data(self, part: bytes) -> None:
        """More of a result or chunk."""
        self._data(part)
        self._owe(len(part))

    def end(self) -> None:
        """A result or chunk is whole; a result ends the stream."""
        if self._octets:
            self._write(base64.b64encode(self._rest) + b'"}')
        self._write(b"\n\n")
        self._is_open = False
        if self.call is not None and self.call.state == ANSWERED:
            self._last()

    def failed(self, call: Call, error: PythonPoolError) -> None:
        """The `error` event; an ordinary answer when nothing was written yet."""
        if not self.has_head:
            super().failed(call, error)
            return
        if self._is_open:  # in the middle of an event nothing can be said any more
            self._connection.abort()
            return
        self._whole(b"error", orjson.dumps(error.to_problem()))
        self._last()

    def tick(self, now: float) -> float | None:
        """A comment keeps the stream open."""
        if self.has_head and not self._is_open:
            self._write(b": \n\n")
        return now + COMMENT_SECONDS

    def _last(self) -> None:
        self._connection.write(b"0\r\n\r\n")
        self._connection.finished()

    def _open(self, event: bytes) -> None:
        self._is_open = True
        self._event += 1
        self._write(b"id: %d\nevent: %b\ndata: " % (self._event, event))

    def _whole(self, event: bytes, text: bytes) -> None:
        self._event += 1
        data = _one_line(text)
        self._write(b"id: %d\nevent: %b\ndata: %b\n\n" % (self._event, event, data))

    def _data(self, part: bytes) -> None:
        if self._octets:
            part = self._rest + part
            cut = len(part) - len(part) % 3
            self._rest = part[cut:]
            self._write(base64.b64encode(part[:cut]))
        else:
            self._write(_one_line(part))

    def _write(self, text: bytes) -> None:
        if text:
            self._connection.write(b"%x\r\n%b\r\n" % (len(text), text))


def _one_line(text: bytes) -> bytes:
    """JSON may have line breaks between its parts, never inside a string: a blank will do."""
    if b"\n" in text or b"\r" in text:
        return text.replace(b"\n", b" ").replace(b"\r", b" ")
    return text
