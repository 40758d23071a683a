"""One call on its way through the router, and the caller's end of it.

A call is one slotted object and callbacks: no task, no future.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pythonpool.errors import PythonPoolError
from pythonpool.names import SessionHandle

if TYPE_CHECKING:
    from pythonpool_router.link import Link
    from pythonpool_router.pools import Pool
    from pythonpool_router.uploads import Upload
    from pythonpool_router.workers import Worker

NEW, WAITING, SENT, ANSWERED, GONE = range(5)
"""Where a call stands: not given to dispatch; in a line; at a worker; its terminal frame (or error)
has come; its caller has gone."""


class Reply(ABC):
    """The caller's end: what dispatch and link tell it. Each call gets one `result` or `failed`."""

    __slots__ = ()

    @abstractmethod
    def began(self, call: "Call") -> None:
        """The command has begun (calls with STREAM)."""

    @abstractmethod
    def progress(self, payload: bytes) -> None:
        """A JSON object of progress (calls with STREAM)."""

    @abstractmethod
    def chunk(self, more: bool, text: bytes) -> None:
        """One yielded value as JSON text; with `more` the rest follows by `data` and `end`."""

    @abstractmethod
    def result(self, call: "Call", octets: bool, total: int, first: bytes) -> None:
        """The result: all of it, or its first part when `total` is more than that."""

    @abstractmethod
    def data(self, part: bytes) -> None:
        """More of the result or of a chunk. The taker grants credit by `Link.grant`."""

    @abstractmethod
    def end(self) -> None:
        """The result or chunk is whole."""

    @abstractmethod
    def failed(self, call: "Call", error: PythonPoolError) -> None:
        """The call ended with an error."""

    @abstractmethod
    def read_on(self) -> None:
        """There is room for more of the caller's body."""


class Call:
    """One execution of a command, or the opening of a session.

    Attributes:
        flags: those of the CALL frame but MORE.
        timeout_ms: time to run.
        since: monotonic seconds of its arrival; its age in every line.
        deadline: monotonic seconds at which its waiting ends.
        body: the parts of the body that are held; all of it where `upload` is None.
        names: those of its CALL frame, once it was sent.
        number: of its last CALL frame, 0 before.
        run_us: microseconds it ran, once its terminal frame has come.
        waited: seconds from its arrival until it was sent.
        in_body: a RESULT or CHUNK with MORE has come, its END has not.
        is_held: a line holds it, as one that waits or as one that has left.
        tried: workers that refused it for a reason that waiting does not cure.
    """

    __slots__ = (
        "body",
        "body_bytes",
        "command",
        "deadline",
        "flags",
        "granted",
        "in_body",
        "is_held",
        "link",
        "names",
        "number",
        "owner",
        "pool",
        "reply",
        "reruns",
        "run_us",
        "session",
        "since",
        "state",
        "streamed",
        "timeout_ms",
        "traceparent",
        "tried",
        "upload",
        "waited",
        "worker",
    )

    def __init__(
        self, pool: "Pool", command: str, flags: int, timeout_ms: int, owner: bytes, reply: Reply
    ) -> None:
        self.pool = pool
        self.command = command
        self.flags = flags
        self.timeout_ms = timeout_ms
        self.owner = owner
        self.reply = reply
        self.traceparent = b""
        self.session: SessionHandle | None = None
        self.since = 0.0
        self.deadline = 0.0
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.upload: Upload | None = None
        self.names = b""
        self.number = 0
        self.worker: Worker | None = None
        self.link: Link | None = None
        self.state = NEW
        self.reruns = 0
        self.run_us = 0
        self.waited = 0.0
        self.granted = 0
        self.in_body = False
        self.streamed = False
        self.is_held = False
        self.tried: set[str] | None = None

    def anew(self) -> "Call":
        """Another call of the same kind, which has no body yet."""
        call = Call(self.pool, self.command, self.flags, self.timeout_ms, self.owner, self.reply)
        call.session, call.traceparent = self.session, self.traceparent
        return call
