"""What a request target asks for: an execute with its names and times, or a cold path. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pythonpool import names
from pythonpool.errors import InvalidArgument, PythonPoolError, SessionNotFound
from pythonpool.names import SessionHandle

MAX_QUEUE_TIMEOUT_SECONDS = 3600
MIN_TIMEOUT_SECONDS = 0.001
MAX_TIMEOUT_SECONDS = 86_400
"""No pool may allow more; known before the pool is, so that a wrong query is 400 also where the
session or the pool is gone."""

# As many places as any program prints: 0.1 + 0.2 has 17 of them.
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,40})?\Z", re.ASCII)
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Target:
    """A request target, read once.

    Attributes:
        path: percent-decoded once.
        raw_path: as it came, without the query.
        is_execute: one of the three execute paths.
        pool: of `/v1/pools/{pool}/execute/…`, else empty.
        session: of `/v1/sessions/{id}/execute/…`, else None.
        command: of an execute.
        timeout_ms: as the query asks, None when it does not.
        queue_timeout: seconds, as the query asks, None when it does not.
        error: why it can not be served; told after who asks has been checked.
    """

    path: str
    raw_path: bytes
    query: bytes
    is_execute: bool = False
    pool: str = ""
    session: SessionHandle | None = None
    command: str = ""
    timeout_ms: int | None = None
    queue_timeout: float | None = None
    error: PythonPoolError | None = None


_MAX_REMEMBERED = 1024
_remembered: dict[bytes, Target] = {}


def known_target(raw: bytes) -> Target:
    """`parse_target`, remembered: most callers ask for the same few."""
    target = _remembered.get(raw)
    if target is None:
        target = parse_target(raw)
        if target.session is None and target.error is None and target.is_execute:
            if len(_remembered) >= _MAX_REMEMBERED:
                _remembered.clear()
            _remembered[raw] = target
    return target


def parse_target(raw: bytes) -> Target:
    """What `raw`, as it stands in the request line, asks for; what is wrong is in `error`."""
    raw_path, _, query = raw.partition(b"?")
    try:
        segments = _segments(raw, raw_path)
    except InvalidArgument as error:
        is_execute = b"/execute/" in raw_path
        return Target("/", raw_path, query, is_execute=is_execute, error=error)
    path = "/" + "/".join(segments)
    match segments:
        case ["v1", "pools", pool, "execute", command]:
            return _execute(path, raw_path, query, command, pool=pool)
        case ["v1", "execute", command]:
            return _execute(path, raw_path, query, command)
        case ["v1", "sessions", session, "execute", command]:
            return _execute(path, raw_path, query, command, session_id=session)
    return Target(path, raw_path, query)


def _segments(raw: bytes, raw_path: bytes) -> list[str]:
    if not raw_path.startswith(b"/") or b"#" in raw:
        raise InvalidArgument(f"the request target {raw[:100]!r} must be a path and a query")
    if _BAD_PERCENT.search(raw):
        raise InvalidArgument("the request target has a % without two hexadecimal digits")
    if b"%" not in raw_path:
        segments = raw_path.decode("ascii", "replace")[1:].split("/")
    else:
        try:
            parts = raw_path[1:].split(b"/")
            segments = [unquote_to_bytes(part).decode() for part in parts]
        except UnicodeDecodeError:
            raise InvalidArgument("the path is not UTF-8") from None
    for segment in segments:
        if segment in (".", "..") or "/" in segment or _CONTROL.search(segment):
            raise InvalidArgument(f"the path segment {segment[:100]!r} is not allowed")
    return segments


def _execute(
    path: str, raw_path: bytes, query: bytes, command: str, pool: str = "", session_id: str = ""
) -> Target:
    session = None
    timeout_ms, queue_timeout, error = _times(query)
    if session_id:
        session = SessionHandle.parse(session_id)
        if session is None:
            error = error or SessionNotFound("no such session: the id is malformed")
    elif pool and not names.is_pool_name(pool):
        error = InvalidArgument(
            f"pool name {pool[:100]!r} must be a DNS label of at most 40 characters"
        )
    if not pool and timeout_ms is not None and timeout_ms > MAX_TIMEOUT_SECONDS * 1000:
        # A pool that is named says itself what it allows; that of a session may be gone.
        error = _outside("timeout", timeout_ms / 1000, "0.001", MAX_TIMEOUT_SECONDS)
    if not names.is_command_name(command):
        error = InvalidArgument(
            f"command name {command[:100]!r} must match ^[a-z][a-z0-9_.-]{{0,63}}$"
        )
    return Target(
        path, raw_path, query, True, pool, session, command, timeout_ms, queue_timeout, error
    )


def _times(query: bytes) -> tuple[int | None, float | None, PythonPoolError | None]:
    values: dict[str, float] = {}
    try:
        for pair in query.split(b"&") if query else ():
            key_bytes, _, value_bytes = pair.partition(b"=")
            key = unquote_to_bytes(key_bytes).decode("utf-8", "replace")
            if key not in ("timeout", "queue_timeout"):
                raise InvalidArgument(
                    f"unknown query name {key[:100]!r}; known are timeout and queue_timeout"
                )
            if key in values:
                raise InvalidArgument(f"the query names {key} more than once")
            values[key] = _decimal(key, unquote_to_bytes(value_bytes).decode("utf-8", "replace"))
    except InvalidArgument as error:
        return None, None, error
    timeout, queue_timeout = values.get("timeout"), values.get("queue_timeout")
    if timeout is not None and timeout < MIN_TIMEOUT_SECONDS:
        return None, None, _outside("timeout", timeout, "0.001", MAX_TIMEOUT_SECONDS)
    if queue_timeout is not None and queue_timeout > MAX_QUEUE_TIMEOUT_SECONDS:
        return None, None, _outside("queue_timeout", queue_timeout, "0", MAX_QUEUE_TIMEOUT_SECONDS)
    timeout_ms = None if timeout is None else max(round(timeout * 1000), 1)
    return timeout_ms, queue_timeout, None


def _outside(key: str, value: float, least: str, most: int) -> InvalidArgument:
    return InvalidArgument(f"{key} is {value:.10g}, it must be from {least} to {most}")


def _decimal(key: str, text: str) -> float:
    if not _DECIMAL.match(text):
        raise InvalidArgument(
            f"{key} is {text[:40]!r}, it must be a decimal number of seconds, such as 2.5, "
            "without sign and exponent"
        )
    return float(text)
