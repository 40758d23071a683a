"""One call, from its CALL frame to its terminal frame."""

from enum import Enum
from typing import TYPE_CHECKING

from pythonpool.errors import PythonPoolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pythonpool_worker.agent.delivery import Delivery
    from pythonpool_worker.agent.executors import Executor
    from pythonpool_worker.agent.judging import Allowance
    from pythonpool_worker.agent.link import Link
    from pythonpool_worker.agent.sessions import Session
    from pythonpool_worker.agent.timers import Alarm


class Phase(Enum):
    """How far a call is; it only moves downwards."""

    BODY = 1
    """Its slot is taken, its args are not whole."""
    QUEUED = 2
    """It waits for an executor, or for its session to be loaded into one."""
    RUNNING = 3
    """RUN (or SESSION_OPEN) was sent."""
    STOPPING = 4
    """The soft cancel was sent, SIGKILL follows."""
    KILLED = 5
    """Its executor was given to the keeper to kill; the answer waits for that."""
    OVER = 6
    """Its terminal frame was sent."""


class Call:
    """What the agent knows about one call. Times in seconds of the monotonic clock.

    Attributes:
        link: where it came from; None for a call of the agent's own.
        number: the router's number.
        own: the agent's number, used on the channel.
        body: the args, in parts.
        verdict: what the terminal frame will say instead of the executor's answer.
        is_abandoned: the caller has gone and the call runs on; its answer is dropped.
        snapshot: the session's state that came with this call, not yet valid.
        gathers: the kind of the frame whose DATA come now, 0 for none.
        gathered: how many bytes of it have come.
        allowance: of progress; there once the stream has begun.
        first, rest: a result that is not whole yet.
        taker: what waits for an executor in this call's name.
        on_over: told when a call of the agent's own is over, with the error or None.
    """

    __slots__ = (
        "alarm",
        "allowance",
        "body",
        "body_bytes",
        "command",
        "credited",
        "delivery",
        "executor",
        "first",
        "flags",
        "gathered",
        "gathers",
        "has_slot",
        "is_abandoned",
        "is_cancelled",
        "link",
        "number",
        "on_over",
        "own",
        "owner",
        "phase",
        "rest",
        "session",
        "snapshot",
        "started_at",
        "taken_at",
        "taker",
        "timeout",
        "too_large",
        "traceparent",
        "verdict",
    )

    def __init__(self, link: "Link | None", number: int, own: int, flags: int) -> None:
        self.link = link
        self.number = number
        self.own = own
        self.flags = flags
        self.command = b""
        self.traceparent = b""
        self.owner = b""
        self.timeout = 0.0
        self.taken_at = 0.0
        self.started_at = 0.0
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.credited = 0
        self.phase = Phase.BODY
        self.has_slot = False
        self.is_abandoned = False
        self.is_cancelled = False
        self.verdict: PythonPoolError | None = None
        self.alarm: Alarm | None = None
        self.executor: Executor | None = None
        self.taker: Callable[[Executor], None] | None = None
        self.session: Session | None = None
        self.delivery: Delivery | None = None
        self.gathers = 0
        self.gathered = 0
        self.allowance: Allowance | None = None
        self.first = b""
        self.rest: list[bytes] = []
        self.snapshot: list[bytes] | None = None
        self.too_large = False
        self.on_over: Callable[[PythonPoolError | None], None] | None = None
