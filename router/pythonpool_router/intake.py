"""From bytes to requests: the parser of one connection, with bounds on what it may hold.

llhttp (httptools) reads; requests.py judges the heads. What comes behind the request that is being
served is held raw, so that a caller who pipelines costs its own bytes and no more.
"""

from collections import deque

import httptools

from pythonpool.errors import InvalidArgument, PythonPoolError
from pythonpool_router.requests import MAX_HEAD_BYTES, Field, Request, too_large

_SLICE = 16_384


class Intake:
    """The requests of one connection, in order.

    Attributes:
        requests: the first is the one to serve; those behind it came in one slice with it.
        held_bytes: raw bytes that wait until the first is served.
        is_broken: what comes is not HTTP/1.1; nothing is read any more.
        is_turning: the first request is served, and `next` will be called: it must not be served
            again for bytes that come in between.
    """

    __slots__ = (
        "_current",
        "_fields",
        "_head_fed",
        "_held",
        "_parser",
        "_target",
        "held_bytes",
        "in_head",
        "is_broken",
        "is_turning",
        "requests",
    )

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.held_bytes = 0
        self.is_broken = False
        self.is_turning = False
        self.in_head = False
        self._current: Request | None = None
        self._target = b""
        self._fields: list[Field] = []
        self._head_fed = 0
        self._held: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes in; whatever is wrong with them stands in the `error` of a request."""
        requests = self.requests
        is_first = not (requests or self._current or self.in_head or self.is_broken)
        whole = data
        while data and not self.is_broken:
            current = self._current
            if requests and requests[0] is not current:
                self._held.append(data)
                self.held_bytes += len(data)
                return
            part = data
            if len(data) > _SLICE and (
                current is None
                or self.in_head
                or current.length is None
                or current.length - current.body_bytes < len(data)
            ):
                part = data[:_SLICE]
            self._parse(part)
            if part is whole:
                if is_first and len(requests) == 1 and requests[0].is_whole:
                    requests[0].raw = data
                return
            data = data[len(part) :]

    def next(self) -> None:
        """The first request is served: forget it and read on."""
        self.is_turning = False
        requests = self.requests
        requests.popleft()
        if self._held and (not requests or requests[0] is self._current):
            held, self._held = self._held, []
            self.held_bytes = 0
            self.feed(held[0] if len(held) == 1 else b"".join(held))

    def _parse(self, part: bytes) -> None:
        was_in_head = self.in_head
        try:
            self._parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over(part[int(upgrade.args[0]) :])
        except httptools.HttpParserError as error:
            self._break(InvalidArgument(f"this is not HTTP/1.1: {error}"))
        if was_in_head and self.in_head:
            self._head_fed += len(part)
            if self._head_fed > MAX_HEAD_BYTES:
                self._break(too_large())

    def _pass_over(self, rest: bytes) -> None:
        """The offer of another protocol is passed over where no body follows."""
        request = self.requests[-1]
        if request.method == b"CONNECT" or request.length != 0:
            self.requests.pop()
            self._current = None
            self._break(InvalidArgument("no other protocol than HTTP/1.1 is spoken here"))
            return
        self._parser = httptools.HttpRequestParser(self)
        if rest:
            self.feed(rest)

    def _break(self, error: PythonPoolError) -> None:
        if self.is_broken:
            return
        self.is_broken = True
        current = self._current
        if current is None or self.in_head:
            current = Request()
            self.requests.append(current)
        current.error = error
        current.is_last = True
        self._current = None

    # -- what the parser says -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._current = None
        self._target = b""
        self._fields = []
        self.in_head = True
        self._head_fed = 0

    def on_url(self, url: bytes) -> None:
        """Its target, or a piece of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field; trailers are passed over."""
        if self.in_head:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self.is_broken:
            return
        self.in_head = False
        parser = self._parser
        current = self._current = Request(parser.get_method(), self._target, self._fields)
        current.check(parser.get_http_version(), parser.should_keep_alive())
        self.requests.append(current)
        if current.error is not None:
            self.is_broken = True
            self._current = None

    def on_body(self, chunk: bytes) -> None:
        """A part of its body."""
        current = self._current
        if current is not None:
            current.take(chunk)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._current is not None:
            self._current.is_whole = True
            self._current = None
