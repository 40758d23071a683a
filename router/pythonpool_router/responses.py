"""The bytes of answers: status lines, fields, problem objects. Pure."""

import http
import math
from collections.abc import Iterable

import orjson

from pythonpool.errors import PythonPoolError

Fields = list[tuple[bytes, bytes]]

JSON = b"application/json"
OCTETS = b"application/octet-stream"
PROBLEM = b"application/problem+json"
EVENTS = b"text/event-stream"

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {status.value: status.phrase.encode() for status in http.HTTPStatus}
_REASONS[499] = b"Client Closed Request"

_RESULT = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: %b\r\n"
    b"Content-Length: %%d\r\n"
    b"Pythonpool-Execution-Id: %b-%%x\r\n"
    b"Pythonpool-Worker: %b\r\n"
    b"Server-Timing: queue;dur=%%b, run;dur=%%d.%%03d\r\n"
    b"Date: %b\r\n"
    b"%b\r\n"
)
CLOSE = b"Connection: close\r\n"


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` and its line end."""
    return b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Unknown"))


def head(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole head."""
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return status_line(status) + lines + b"\r\n"


class ResultHeads:
    """The heads of finished calls' answers; what they have in common is written once.

    `instance` is the first part of every execution id.
    """

    def __init__(self, instance: bytes) -> None:
        self._instance = instance
        self._date = b""
        self._plain: dict[bytes, bytes] = {}

    def renew(self, date: bytes) -> None:
        """From now on this is the value of Date."""
        if date != self._date:
            self._date = date
            self._plain.clear()

    def head(
        self, octets: bool, total: int, number: int, worker: bytes, waited: float, run_us: int,
        is_last: bool,
    ) -> bytes:  # fmt: skip
        """The head of an answer of `total` bytes."""
        is_plain = not (octets or is_last)
        form = self._plain.get(worker) if is_plain else None
        if form is None:
            form = self._form(OCTETS if octets else JSON, worker, CLOSE if is_last else b"")
            if is_plain:
                self._plain[worker] = form
        queue = b"%.3f" % (waited * 1e3) if waited else b"0.000"
        return form % (total, number, queue, run_us // 1000, run_us % 1000)

    def _form(self, content: bytes, worker: bytes, close: bytes) -> bytes:
        name = worker.replace(b"%", b"%%")
        return _RESULT % (content, self._instance, name, self._date, close)


def problem_body(error: PythonPoolError) -> bytes:
    """The problem object of an error."""
    return orjson.dumps(error.to_problem())


def error_fields(error: PythonPoolError) -> Fields:
    """The header fields that an error brings beside its body."""
    fields: Fields = []
    if error.retry_after_ms is not None:
        fields.append((b"Retry-After", b"%d" % max(math.ceil(error.retry_after_ms / 1000), 1)))
    if error.status == 401:
        fields.append((b"WWW-Authenticate", b"Bearer"))
    if error.execution_id is not None:
        fields.append((b"Pythonpool-Execution-Id", error.execution_id.encode()))
    if error.worker is not None:
        fields.append((b"Pythonpool-Worker", error.worker.encode()))
    return fields


def timing(waited_ms: float, run_ms: float | None) -> tuple[bytes, bytes]:
    """The Server-Timing field; without `run` while the command has not finished."""
    if run_ms is None:
        return (b"Server-Timing", b"queue;dur=%.3f" % waited_ms)
    return (b"Server-Timing", b"queue;dur=%.3f, run;dur=%.3f" % (waited_ms, run_ms))
