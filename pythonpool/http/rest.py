"""The requests of API.md section 2 as values. Pure; both clients send these and no others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from pythonpool.errors import InvalidArgument

JSON = "application/json"
BYTES = "application/octet-stream"
EVENTS = "text/event-stream"
PROBLEM = "application/problem+json"

# Proxies commonly end an exchange that is silent for 60 s; a stream has a comment every 15 s.
STREAM_OVER_SECONDS = 30.0
# The most that API.md lets a call wait for a slot, and room for the answer's own way.
MAX_QUEUE_SECONDS = 3600.0
SLACK_SECONDS = 30.0
# Four comments of a stream, all missed.
SILENCE_SECONDS = 60.0

JsonObject = dict[str, Any]
Args = Mapping[str, Any] | bytes | None
ProgressSink = Callable[[JsonObject], object]


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: GET, POST or DELETE.
        path: percent-encoded, from `/v1` on, with the query.
        body: None, or the bytes to send.
        content_type: of the body.
        accept: what the answer may be.
        patience_seconds: how long not one byte may come before the connection counts as broken.
        silence_seconds: the same within a stream, once it has begun.
    """

    method: str
    path: str
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON
    patience_seconds: float = SLACK_SECONDS
    silence_seconds: float = SILENCE_SECONDS

    def headers(self) -> dict[str, str]:
        """The headers that belong to this request alone."""
        # identity: a proxy that compresses would hold events back until it has a block's worth.
        headers = {"Accept": self.accept, "Accept-Encoding": "identity"}
        if self.body is not None:
            headers["Content-Type"] = self.content_type
        return headers


@dataclass(frozen=True, slots=True)
class Limits:
    """A call's two budgets in seconds; None leaves it to command and pool.

    Attributes:
        timeout: time to run, from 0.001 to the pool's maxTimeoutSeconds.
        queue_timeout: time to wait for a slot, 0 (do not wait) to 3600.
    """

    timeout: float | None = None
    queue_timeout: float | None = None

    @property
    def wants_stream(self) -> bool:
        """Whether the call may be silent for longer than proxies bear."""
        return self.timeout is None or not self.timeout <= STREAM_OVER_SECONDS

    def query(self) -> dict[str, str]:
        """The query of an execute."""
        given = {"timeout": self.timeout, "queue_timeout": self.queue_timeout}
        return {name: _decimal(name, value) for name, value in given.items() if value is not None}

    def patience_seconds(self, stream: bool) -> float:
        """The longest silence that is no sign of a broken connection."""
        run = STREAM_OVER_SECONDS if stream else (self.timeout or STREAM_OVER_SECONDS)
        queue = MAX_QUEUE_SECONDS if self.queue_timeout is None else self.queue_timeout
        return run + queue + SLACK_SECONDS


def pool_place(pool: str | None) -> str:
    """Where calls of a pool are posted; None lets the router pick the pool."""
    return "/v1" if pool is None else f"/v1/pools/{_segment('pool', pool)}"


def session_place(session_id: str) -> str:
    """Where calls of a session are posted, and the session itself is."""
    return f"/v1/sessions/{_segment('session', session_id)}"


def execute(place: str, command: str, args: Args, limits: Limits, stream: bool) -> Request:
    """`POST …/execute/{command}`.

    Raises:
        InvalidArgument: the args can not be written as strict JSON, or a name is empty.
    """
    body, content_type = encode_args(args)
    query = limits.query()
    return Request(
        "POST",
        f"{place}/execute/{_segment('command', command)}"
        + (f"?{urlencode(query)}" if query else ""),
        body,
        content_type,
        EVENTS if stream else f"{JSON}, {BYTES}",
        limits.patience_seconds(stream),
    )


def create_session(
    pool: str, ttl_seconds: int | None, context: Mapping[str, Any] | None
) -> Request:
    """`POST /v1/sessions`."""
    wish = {"pool": pool, "ttl_seconds": ttl_seconds, "context": context}
    body = encode_json({name: value for name, value in wish.items() if value is not None})
    # A session waits for a slot and then for its executor to open, like a call.
    return Request("POST", "/v1/sessions", body, patience_seconds=Limits().patience_seconds(True))


def list_sessions(pool: str | None) -> Request:
    """`GET /v1/sessions`."""
    return Request("GET", "/v1/sessions" + (f"?{urlencode({'pool': pool})}" if pool else ""))


def show_session(session_id: str) -> Request:
    """`GET /v1/sessions/{id}`."""
    return Request("GET", session_place(session_id))


def delete_session(session_id: str) -> Request:
    """`DELETE /v1/sessions/{id}`."""
    return Request("DELETE", session_place(session_id))


def list_pools() -> Request:
    """`GET /v1/pools`."""
    return Request("GET", "/v1/pools")


def show_pool(pool: str) -> Request:
    """`GET /v1/pools/{pool}`."""
    return Request("GET", pool_place(pool))


def list_commands(pool: str) -> Request:
    """`GET /v1/pools/{pool}/commands`."""
    return Request("GET", f"{pool_place(pool)}/commands")


def list_workers(pool: str) -> Request:
    """`GET /v1/pools/{pool}/workers`."""
    return Request("GET", f"{pool_place(pool)}/workers")


def recycle_worker(pool: str, worker: str) -> Request:
    """`POST /v1/pools/{pool}/workers/{worker}/recycle`."""
    return Request("POST", f"{pool_place(pool)}/workers/{_segment('worker', worker)}/recycle")


def show_version() -> Request:
    """`GET /version`."""
    return Request("GET", "/version")


def encode_args(args: Args) -> tuple[bytes, str]:
    """The body and its type: bytes as they are, else a JSON object; None is an empty body.

    Raises:
        InvalidArgument: they are something else, or can not be written as JSON.
    """
    if isinstance(args, bytes):
        return args, BYTES
    if not isinstance(args, Mapping | None):
        raise InvalidArgument(
            f'args must be a mapping such as {{"name": "value"}}, or bytes, not {args!r:.60}'
        )
    return (b"" if args is None else encode_json(dict(args))), JSON


def encode_json(value: Any) -> bytes:
    """Strict JSON in UTF-8.

    Raises:
        InvalidArgument: NaN, an infinity, a lone surrogate, or a type that JSON does not have.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"args can not be written as JSON: {error}") from error


def _segment(what: str, name: str) -> str:
    if not name or name in (".", ".."):
        raise InvalidArgument(f'{what} "{name}" must be a name')
    return quote(name, safe="")


def _decimal(name: str, seconds: float) -> str:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidArgument(f"{name} {seconds!r} must be a number of seconds")
    # Never with an exponent: the router reads a plain decimal.
    return format(Decimal(repr(seconds)).normalize(), "f")
