"""What a caller writes down about one call: its answer, read strictly."""

import re
from dataclasses import dataclass
from typing import Any

from soak.eventtext import Malformed, last_event
from soak.history import Outcome, Sent
from soak.rawhttp import Reply


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as it was sent.

    Attributes:
        nonce: its mark.
        session: its session's name in this soak, or empty.
        shape: what the command was asked to do.
        sent: when, seconds of CLOCK_MONOTONIC.
        queue: seconds that it may wait.
        timeout: seconds that it may run.
        more: seconds beyond these in which the answer may come.
        idle: seconds that the caller leaves the answer unread.
        ends_itself: the command ends before its time to run, when nothing hits it.
        is_idempotent: it may be run again, once.
    """

    nonce: str
    session: str
    shape: str
    sent: float
    queue: float
    timeout: float
    more: float
    idle: float
    ends_itself: bool
    is_idempotent: bool

    @property
    def allowed(self) -> float:
        """Seconds until the answer at the latest."""
        return self.queue + self.timeout + self.more + self.idle


def entry(asked: Asked, answered: float, reply: Reply | None, code: str) -> Sent:
    """What came of it; `code` says why there is no reply."""
    common: dict[str, Any] = {
        "nonce": asked.nonce,
        "sent": asked.sent,
        "answered": answered,
        "timeout": asked.timeout,
        "session": asked.session,
        "shape": asked.shape,
        "ends_itself": asked.ends_itself,
        "is_idempotent": asked.is_idempotent,
        "idle": asked.idle,
    }
    if reply is None:
        return Sent(code=code, outcome="unknown", allowed=asked.allowed, **common)
    is_ok, body = content(reply)
    allowed, queued = asked.allowed, _queued(reply)
    if queued is not None and not asked.is_idempotent:
        allowed = min(allowed, allowed - asked.queue + queued)
    outcome: Outcome = "finished" if is_ok else body.get("outcome", "unknown")
    return Sent(
        code="ok" if is_ok else str(body.get("code", f"status {reply.status}")),
        outcome=outcome,
        allowed=allowed,
        id=reply.fields.get("pythonpool-execution-id", ""),
        echoed=body.get("nonce") if is_ok else None,
        worker=reply.fields.get("pythonpool-worker", ""),
        count=body.get("count") if is_ok else None,
        cause="" if is_ok else str(body.get("cause", "")),
        retry_after_ms=None if is_ok else body.get("retry_after_ms"),
        **common,
    )


def _queued(reply: Reply) -> float | None:
    """Seconds that the call waited, as its answer says; None when no worker took it."""
    found = re.search(r"queue;dur=([0-9.]+)", reply.fields.get("server-timing", ""))
    return float(found[1]) / 1000 if found else None


def content(reply: Reply) -> tuple[bool, dict[str, Any]]:
    """Whether the command returned, and the object in the answer, or at the end of its stream."""
    is_ok, body = reply.status == 200, reply.json
    if reply.fields.get("content-type", "").startswith("text/event-stream"):
        try:
            name, body = last_event(reply.body)
        except Malformed as error:
            return False, {"code": f"a stream with {error}"}
        is_ok = name == "result"
    return is_ok, body if isinstance(body, dict) else {}


def text(reply: Reply, member: str) -> str:
    """One member of the object in the answer, as text."""
    return str(content(reply)[1].get(member, ""))
