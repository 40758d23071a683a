"""A head that comes again: most callers send the same one with each request of a connection, but
for the length of the body. What the parser has taken once it would take again: it is not asked.
"""

from pythonpool_router.requests import Request

_LENGTH = b"\r\ncontent-length: "
_MAX_DIGITS = 8


class SameHead:
    """The bytes of one head before and after the digits of its Content-Length, and its request."""

    __slots__ = ("_after", "_before", "_request")

    def __init__(self, before: bytes, after: bytes, request: Request) -> None:
        self._before = before
        self._after = after
        self._request = request

    @staticmethod
    def of(data: bytes, request: Request) -> "SameHead | None":
        """What is to be remembered of `request`, which came whole in `data`; None for nothing."""
        end = data.find(b"\r\n\r\n") + 4
        if request.is_last or request.error is not None or len(data) - end != request.length:
            return None
        at = data.lower().find(_LENGTH, 0, end)
        if at < 0:
            return None
        at += len(_LENGTH)
        bare = request.again(request.named[b"content-length"], b"")
        return SameHead(data[:at], data[data.find(b"\r", at) : end], bare)

    def request(self, data: bytes) -> Request | None:
        """The request in `data`, when that is this head and one whole body; else None."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        end = data.find(b"\r", len(before))
        digits = data[len(before) : end]
        if not digits.isdigit() or len(digits) > _MAX_DIGITS or not data.startswith(after, end):
            return None
        end += len(after)
        if len(data) - end != int(digits):
            return None
        return self._request.again(digits, data[end:])
