"""Server-sent events: bytes as they come in, events out. Pure; used by both clients."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from pythonpool.errors import Internal, PythonPoolError
from pythonpool.http.answers import decode_json, unwrap_bytes

Kind = Literal["progress", "chunk", "result"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a running call.

    Attributes:
        kind: `progress`, `chunk` (one value of a generator command) or, once and last, `result`.
        data: the fields of a progress, `{"fraction", …}`; the value of a chunk or of the result.
        id: counts up from 1.
        ends_chunks: of a `result`: the command is a generator, its values came as chunks.
    """

    kind: Kind
    data: Any
    id: int
    ends_chunks: bool = False


class EventParser:
    """Turns the bytes of one `text/event-stream` into events, however they were cut up.

    Args:
        of_generator: the head said that the command is a generator.
    """

    def __init__(self, of_generator: bool = False) -> None:
        self._of_generator = of_generator
        self._tail: list[bytes] = []  # the unfinished line, in pieces: a result can be 64 MiB
        self._after_cr = False
        self._at_start = True
        self._name = b""
        self._data: list[bytes] = []
        self._id = 0

    def feed(self, received: bytes) -> Iterator[Event]:
        """The events that `received` completes, each as it is asked for; cut up anywhere.

        Raises:
            PythonPoolError: the stream's `error` event, typed; `Internal` when an event is not
                of API.md's form.
        """
        for line in self._lines(received):
            event = self._line(line)
            if event is not None:
                yield event

    def _lines(self, received: bytes) -> list[bytes]:
        if self._after_cr and received.startswith(b"\n"):
            received, self._after_cr = received[1:], False
        if not received:
            return []
        self._after_cr = received.endswith(b"\r")
        first, *rest = _LINE_END.split(received)
        self._tail.append(first)
        if not rest:
            return []
        lines = [b"".join(self._tail), *rest[:-1]]
        self._tail = [rest[-1]]
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value
        elif name == b"id" and value.isdigit():
            self._id = int(value)
        return None  # comments have an empty name; unknown fields are passed over by the standard

    def _dispatch(self) -> Event | None:
        name, data = self._name.decode(errors="replace"), b"\n".join(self._data)
        self._name, empty = b"", not self._data
        self._data = []
        if empty:
            return None
        value = decode_json(data)
        if name == "error":
            raise PythonPoolError.from_problem(value if isinstance(value, dict) else {})
        if name not in ("progress", "chunk", "result"):
            raise Internal(f'the router sent an event "{name}", which this client does not know')
        if name != "progress":
            value = unwrap_bytes(value)
        ends_chunks = self._of_generator and name == "result"
        return Event(cast(Kind, name), value, self._id, ends_chunks)


class Gathering:
    """What `execute` returns, gathered from a stream: the result, or the list of the chunks."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []
        self._result: Any = None
        self._is_list = False

    def take(self, event: Event) -> None:
        """Keep what belongs to the result; progress does not."""
        if event.kind == "chunk":
            self._chunks.append(event.data)
            self._is_list = True
        elif event.kind == "result":
            self._result = event.data
            self._is_list = self._is_list or event.ends_chunks

    @property
    def value(self) -> Any:
        """As without a stream: a generator command gives the list of what it yielded."""
        return self._chunks if self._is_list else self._result
