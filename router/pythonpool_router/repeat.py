"""A call that comes again: most callers send the same head with each call of a connection, but for
the length of the body and the traceparent.

What was judged of it once is not judged again: parsing, routing, the pool's times, who asks. All of
it is judged anew when anything of the pools, or of who may come in, has changed.
"""

from pythonpool_router.access import Access
from pythonpool_router.answers import Answer
from pythonpool_router.call import NEW, Call
from pythonpool_router.pools import Pools
from pythonpool_router.requests import Request
from pythonpool_router.shape import Shape, shape_of
from pythonpool_router.target import Target
from pythonpool_router.uploads import HELD_BYTES


class Repeat:
    """The head of one connection's last call, and what followed from it.

    Attributes:
        request: whole, and without its body, which the call has.
        answer: where the call is answered; of the same connection.
        queue_timeout: seconds, as the query asked.
    """

    __slots__ = (
        "_by_name",
        "_call",
        "_head",
        "_most_bytes",
        "_shape",
        "_size",
        "_standing",
        "_timeouts_ms",
        "_trace",
        "_traceparent",
        "answer",
        "queue_timeout",
        "request",
    )

    def __init__(
        self, request: Request, target: Target, access: Access, call: Call, answer: Answer,
        pools: Pools, max_body_bytes: int, shape: Shape,
    ) -> None:  # fmt: skip
        data = request.raw
        self.request = request
        self.answer = answer
        self.queue_timeout = target.queue_timeout
        self._size = len(data)
        self._head = data[: len(data) - request.body_bytes]
        self._shape = shape
        self._trace = self._traceparent = call.traceparent
        self._most_bytes = min(HELD_BYTES, max_body_bytes)
        self._standing = access.standing
        self._call = call
        self._by_name = pools.by_name
        self._timeouts_ms = call.pool.timeouts_ms
        request.raw = b""
        request.body = []

    def body(self, data: bytes) -> bytes | None:
        """The body in `data`, when that is such a head and one whole body; else None."""
        head = self._head
        if len(data) == self._size and data.startswith(head):
            self._trace = self._traceparent
            return data[len(head) :]
        found = self._shape.find(data)
        if found is None:
            return None
        body, self._trace = found
        return body

    def call(self, body: bytes, access: Access, pools: Pools) -> Call | None:
        """The call with another body, if all that was judged of it still stands; else None."""
        call = self._call
        pool = call.pool
        if (
            pools.by_name is not self._by_name
            or pool.timeouts_ms is not self._timeouts_ms
            or access.standing is not self._standing
            or len(body) > self._most_bytes
        ):
            return None
        if call.is_held or call.reruns:  # a line drops those that have left by and by
            call = self._call = self.answer.call = call.anew()
        call.state = NEW
        call.number = call.run_us = 0
        call.body = [body] if body else []
        call.body_bytes = len(body)
        if call.traceparent is not self._trace:
            call.traceparent = self._trace
            call.names = b""
        return call

    def forget(self) -> None:
        """The connection is gone; answer and call hold each other."""
        self.answer.call = None


def repeat_of(
    request: Request, target: Target, access: Access, call: Call, answer: Answer,
    pools: Pools, max_body_bytes: int,
) -> Repeat | None:  # fmt: skip
    """What is to be remembered of a call before it is sent; None where it may not come again so."""
    data = request.raw
    plain = type(answer) is Answer and call.upload is None and not request.is_last
    if not data or not plain or not (target.pool or target.session):
        return None
    head = data[: data.find(b"\r\n\r\n") + 4]
    if len(data) - len(head) != request.length:
        return None
    shape = shape_of(head, call.traceparent)
    if shape is None:
        return None
    return Repeat(request, target, access, call, answer, pools, max_body_bytes, shape)
