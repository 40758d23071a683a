"""A call that comes again: most callers send the same head with each call of a connection, but for
the length of the body.

What was judged of it once is not judged again: parsing, routing, the pool's times. Who asks is
judged each time, and all of it anew when anything of the pools has changed.
"""

from pythonpool.errors import PythonPoolError
from pythonpool_router.access import Access, Caller
from pythonpool_router.answers import Answer
from pythonpool_router.call import NEW, Call
from pythonpool_router.pools import Pools
from pythonpool_router.requests import Request
from pythonpool_router.target import Target
from pythonpool_router.uploads import HELD_BYTES

_LENGTH = b"\r\ncontent-length: "
_MAX_DIGITS = 8


class Repeat:
    """The head of one connection's last call, and what followed from it.

    Attributes:
        request: whole, and without its body, which the call has.
        answer: where the call is answered; of the same connection.
        queue_timeout: seconds, as the query asked.
    """

    __slots__ = (
        "_after",
        "_authorization",
        "_before",
        "_by_name",
        "_call",
        "_caller",
        "_head",
        "_most_bytes",
        "_size",
        "_timeouts_ms",
        "answer",
        "queue_timeout",
        "request",
    )

    def __init__(
        self, request: Request, target: Target, caller: Caller, call: Call, answer: Answer,
        pools: Pools, max_body_bytes: int, length_at: int,
    ) -> None:  # fmt: skip
        data = request.raw
        self.request = request
        self.answer = answer
        self.queue_timeout = target.queue_timeout
        self._size = len(data)
        self._head = head = data[: len(data) - request.body_bytes]
        self._before = head[:length_at]
        self._after = head[head.find(b"\r", length_at) :]
        self._most_bytes = min(HELD_BYTES, max_body_bytes)
        self._caller = caller
        self._authorization = request.named.get(b"authorization")
        self._call = call
        self._by_name = pools.by_name
        self._timeouts_ms = call.pool.timeouts_ms
        request.raw = b""
        request.body = []

    def body(self, data: bytes) -> bytes | None:
        """The body in `data`, when that is the same head and one whole body; else None."""
        head = self._head
        if len(data) == self._size and data.startswith(head):
            return data[len(head) :]
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        end = data.find(b"\r", len(before))
        digits = data[len(before) : end]
        if not digits.isdigit() or len(digits) > _MAX_DIGITS or not data.startswith(after, end):
            return None
        end += len(after)
        return data[end:] if len(data) - end == int(digits) else None

    def call(self, body: bytes, access: Access, pools: Pools) -> Call | None:
        """The call with another body, if who asks is still who it was and may still; else None."""
        call = self._call
        pool = call.pool
        is_same = pools.by_name is self._by_name and pool.timeouts_ms is self._timeouts_ms
        if not is_same or len(body) > self._most_bytes:
            return None
        try:
            if access.caller(self._authorization) is not self._caller:
                return None
            access.permit(self._caller, "execute", pool.name)
        except PythonPoolError:
            return None
        if call.has_waited or call.reruns:  # a line may still hold it, as one that has left
            call = self._call = self.answer.call = call.anew()
        call.state = NEW
        call.since = 0.0
        call.number = call.run_us = 0
        call.body = [body] if body else []
        call.body_bytes = len(body)
        return call

    def forget(self) -> None:
        """The connection is gone; answer and call hold each other."""
        self.answer.call = None


def repeat_of(
    request: Request, target: Target, caller: Caller, call: Call, answer: Answer,
    pools: Pools, max_body_bytes: int,
) -> Repeat | None:  # fmt: skip
    """What is to be remembered of a call before it is sent; None where it may not come again so."""
    data = request.raw
    plain = type(answer) is Answer and call.upload is None and not request.is_last
    if not data or not plain or not (target.pool or target.session):
        return None
    head = data[: data.find(b"\r\n\r\n") + 4]
    at = head.lower().find(_LENGTH) + len(_LENGTH)
    if at < len(_LENGTH) or len(data) - len(head) != request.length:
        return None
    return Repeat(request, target, caller, call, answer, pools, max_body_bytes, at)
