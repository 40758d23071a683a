"""One request's head as it was received, checked strictly, and its body while it waits.

The parser (llhttp) refuses bare LF, obs-fold, NUL, CL with TE, bad chunks and the like; here stands
what it lets pass.
"""

from collections.abc import Callable

from pythonpool.errors import HeaderTooLarge, InvalidArgument, PythonPoolError

MAX_HEAD_BYTES = 16_384
MAX_FIELDS = 64

# The fields that the router itself reads, as most clients spell them; other spellings are lowered.
_KNOWN = {
    name: name.lower()
    for plain in (
        b"Host",
        b"Authorization",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Accept",
        b"Expect",
        b"Origin",
        b"Upgrade",
        b"Traceparent",
        b"Idempotency-Key",
        b"User-Agent",
        b"Accept-Encoding",
        b"Content-Type",
    )
    for name in (plain, plain.lower())
}
Field = tuple[bytes, bytes]
_ONCE = frozenset(
    (b"host", b"authorization", b"content-length", b"origin", b"idempotency-key", b"expect")
)


class Request:
    """One message from a caller.

    Attributes:
        fields: as received, in order; `named` the last of each by its name in lower case.
        error: why its head is refused, with the connection closed after the answer.
        body: the parts that have come and nobody has taken.
        body_bytes: how many bytes have come so far.
        length: Content-Length, 0 without a body, None when it is chunked.
        is_whole: the last byte has come.
        raw: all its bytes, where they came whole and alone and nobody has asked for them yet.
        sink: who takes the body as it comes, instead of `body`.
    """

    __slots__ = (
        "body",
        "body_bytes",
        "error",
        "fields",
        "is_last",
        "is_whole",
        "length",
        "method",
        "named",
        "raw",
        "sink",
        "target",
    )

    def __init__(
        self, method: bytes = b"", target: bytes = b"", fields: list[Field] | None = None
    ) -> None:
        self.method = method
        self.target = target
        self.fields = [] if fields is None else fields
        self.named: dict[bytes, bytes] = {}
        self.error: PythonPoolError | None = None
        self.length: int | None = 0
        self.is_last = False
        self.is_whole = False
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.raw = b""
        self.sink: Callable[[bytes], None] | None = None

    def take(self, chunk: bytes) -> None:
        """Take a part of the body."""
        self.body_bytes += len(chunk)
        if self.sink is None:
            self.body.append(chunk)
        else:
            self.sink(chunk)

    def discard(self) -> None:
        """Whatever comes of the body is of no use any more."""
        self.body = []
        self.sink = _nowhere

    def check(self, version: str, keeps_alive: bool) -> None:
        """The head is whole: see whether it may be served."""
        named = self.named
        size = len(self.target)
        for name, value in self.fields:
            size += len(name) + len(value) + 4
            key = _KNOWN.get(name) or name.lower()
            if key in named and key in _ONCE:
                self.error = InvalidArgument(f"the head has more than one {key.decode('latin-1')}")
            named[key] = value
        self.is_last = not keeps_alive
        if size > MAX_HEAD_BYTES or len(self.fields) > MAX_FIELDS:
            self.error = too_large()
        elif version != "1.1" and version != "1.0":
            self.error = InvalidArgument(f"HTTP version {version} must be 1.1")
        elif b"host" not in named:
            self.error = InvalidArgument("the head has no Host")
        if b"transfer-encoding" in named:
            self.length = None
            if named[b"transfer-encoding"].lower() != b"chunked" or version != "1.1":
                self.error = InvalidArgument("Transfer-Encoding must be chunked, on HTTP/1.1")
        elif b"content-length" in named:
            self.length = int(named[b"content-length"])
        if version == "1.0":
            self.is_last = True


def _nowhere(chunk: bytes) -> None:
    pass


def too_large() -> HeaderTooLarge:
    """The error of a head that is over the bounds."""
    return HeaderTooLarge(
        f"a request head may have {MAX_HEAD_BYTES} bytes and {MAX_FIELDS} fields at most"
    )
