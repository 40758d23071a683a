"""What the heads of one connection's requests have in common, and the little that differs. Pure."""

import re

_LENGTH = b"\r\ncontent-length: "
_MAX_DIGITS = 8
_TRACE = b"\r\ntraceparent: "
_TRACE_BYTES = 55
# W3C Trace Context, version 00. It holds no end of a line: what stands behind it stays a field.
_IS_TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


class Shape:
    """A head, in which the length of the body and the traceparent may be others."""

    __slots__ = ("_end", "_pieces", "_trace")

    def __init__(self, head: bytes, trace: bytes, holes: list[tuple[int, int, bool]]) -> None:
        """`holes`: where length and `trace` begin and end, and whether it is `trace`."""
        self._trace = trace
        self._pieces: list[tuple[bytes, bool]] = []
        at = 0
        for begin, end, is_trace in sorted(holes):
            self._pieces.append((head[at:begin], is_trace))
            at = end
        self._end = head[at:]

    def find(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Body and traceparent in `data`, when that is such a head and one whole body."""
        at = length = 0
        trace = self._trace
        for fixed, is_trace in self._pieces:
            if not data.startswith(fixed, at):
                return None
            at += len(fixed)
            if is_trace:
                trace = data[at : at + _TRACE_BYTES]
                if trace != self._trace and not _IS_TRACE(trace):
                    return None
                at += _TRACE_BYTES
                continue
            end = data.find(b"\r", at)
            digits = data[at:end]
            if not digits.isdigit() or len(digits) > _MAX_DIGITS:
                return None
            length, at = int(digits), end
        if not data.startswith(self._end, at):
            return None
        at += len(self._end)
        return (data[at:], trace) if len(data) - at == length else None


def shape_of(head: bytes, trace: bytes) -> Shape | None:
    """The shape of a head that the parser has taken; None where it has no plain length.

    Args:
        trace: its traceparent, as far as calls have it.
    """
    lowered = head.lower()
    at = lowered.find(_LENGTH) + len(_LENGTH)
    if at < len(_LENGTH):
        return None
    holes = [(at, head.find(b"\r", at), False)]
    if _IS_TRACE(trace) and lowered.count(_TRACE) == 1:
        at = lowered.find(_TRACE) + len(_TRACE)
        if head.startswith(trace, at):
            holes.append((at, at + _TRACE_BYTES, True))
    return Shape(head, trace, holes)
