"""What an answer of the router means: a value, or one typed error. Pure; used by both clients."""

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from pythonpool.errors import BY_CODE, Internal, Outcome, PythonPoolError, Unavailable
from pythonpool.http.rest import BYTES, EVENTS, JSON, PROBLEM, Request

CLOSED = "closed by the other side"
SILENT = "silent for too long"

# A status without a problem object was not made by the router but by something before it
# (a proxy, an ingress), which can not know whether the command has run.
_BY_STATUS = {
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    429: "resource_exhausted",
    431: "header_too_large",
    503: "unavailable",
}


def decode_json(body: bytes) -> Any:
    """The JSON value of `body`; whole numbers keep all their digits.

    Raises:
        Internal: it is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Internal(
            f"the router's answer of {len(body)} bytes is not JSON: {error}", outcome="finished"
        ) from error


def unwrap_bytes(value: Any) -> Any:
    """`{"$bytes": BASE64}` as bytes: how a bytes result stands in an event; else unchanged."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("$bytes"), str):
        try:
            return base64.b64decode(value["$bytes"], validate=True)
        except ValueError:
            return value  # a command's own object, which happens to look like it
    return value


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Whether the body is a stream of events."""
    return _media_type(headers) == EVENTS


def is_of_generator(headers: Mapping[str, str]) -> bool:
    """Whether a stream of events is that of a generator command, which may yield nothing."""
    return headers.get("Pythonpool-Streaming") == "?1"


def value_of(status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """What an answer with a whole body says: JSON as Python values, bytes as bytes, else None.

    Raises:
        PythonPoolError: the status is an error; the class is that of the problem's `code`.
    """
    if not 200 <= status < 300:
        raise _error(status, headers, body)
    if _media_type(headers) == BYTES:
        return body
    return decode_json(body) if body else None


def no_connection(url: str, reason: object) -> Unavailable:
    """Nobody took the connection, so nothing has started: a new try is safe."""
    return Unavailable(
        f"no router answers at {url} ({reason})", outcome="not_started", cause="no_connection"
    )


def connection_lost(url: str, request: Request, reason: object) -> PythonPoolError:
    """The connection broke after the request may have been sent.

    A read starts nothing, so that a new try is safe: `Unavailable`, outcome `not_started`. All
    else is `Internal`, outcome `unknown`: no code of the router fits, for the router has said
    nothing. The cause of both is `connection_lost`.
    """
    detail = (
        f"the connection to {url} broke before the answer to {request.method} {request.path}"
        f" was whole ({reason})"
    )
    if request.method == "GET":
        return Unavailable(detail, outcome="not_started", cause="connection_lost")
    return Internal(detail, outcome="unknown", cause="connection_lost")


def system_words(error: OSError) -> str:
    """What the system says about an error, without what libraries put around it."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", JSON).partition(";")[0].strip().lower()


def _error(status: int, headers: Mapping[str, str], body: bytes) -> PythonPoolError:
    if _media_type(headers) == PROBLEM:
        problem = decode_json(body)
        if isinstance(problem, dict):
            return PythonPoolError.from_problem(problem)
    cls = BY_CODE.get(_BY_STATUS.get(status, ""), Internal)
    outcome: Outcome = "not_started" if status < 500 else "unknown"
    excerpt = " ".join(body[:200].decode(errors="replace").split())
    return cls(
        f"something before the router answered with status {status}: {excerpt}",
        outcome=outcome,
        cause=f"http_{status}",
    )
