"""Every error that a caller can meet: one code, one status, one class, one meaning.

    PythonPoolError
     ├ InvalidArgument 400        ├ RequestTimeout 408       ├ Internal 500
     ├ Unauthenticated 401        ├ SessionExpired 410       ├ WorkerCrashed 502
     ├ PermissionDenied 403       ├ SessionLost 410          ├ OutOfMemory 502
     ├ NotFound 404               ├ ExecutionLost 410        ├ ResultTooLarge 502
     │  ├ PoolNotFound            ├ PayloadTooLarge 413      ├ Unavailable 503
     │  ├ CommandNotFound         ├ CommandFailed 422        └ Timeout 504
     │  ├ SessionNotFound         ├ ResourceExhausted 429
     │  ├ ExecutionNotFound       ├ HeaderTooLarge 431
     │  └ WorkerNotFound          └ Cancelled 499
     └ MethodNotAllowed 405

The members are those of API.md 2.1; the wire form is RFC 9457's problem object.
"""

from typing import Any, ClassVar, Literal

TYPE_BASE = "https://pythonpool.dev/errors/"

Outcome = Literal["not_started", "unknown", "finished"]

_OPTIONAL = (
    "execution_id",
    "retry_after_ms",
    "suggestion",
    "cause",
    "worker",
    "exception",
    "stack",
    "limit_bytes",
    "peak_bytes",
)


class PythonPoolError(Exception):
    """The root. `detail` is one line: what happened, to whom, the value, the way out.

    Attributes:
        outcome: whether the command may have run.
        retry_after_ms: milliseconds after which another try is worth it, else None.
        suggestion: what to do instead, else None.
        cause: the reason in one word of API.md 2.1, else None.
        worker: the worker's name when the call reached one, else None.
        execution_id: the id of the call, else None.
        exception: `{"type", "message", "traceback"?}` of what a command raised, else None.
        stack: where each thread was when it was killed, else None.
        limit_bytes: the memory limit that was met, in bytes, else None.
        peak_bytes: the most memory that was seen in use, in bytes, else None.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "A defect of pythonpool's own"
    default_outcome: ClassVar[Outcome] = "unknown"

    def __init__(
        self,
        detail: str,
        *,
        outcome: Outcome | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.outcome: Outcome = outcome or self.default_outcome
        self.execution_id: str | None = members.pop("execution_id", None)
        self.retry_after_ms: int | None = members.pop("retry_after_ms", None)
        self.suggestion: str | None = members.pop("suggestion", None)
        self.cause: str | None = members.pop("cause", None)
        self.worker: str | None = members.pop("worker", None)
        self.exception: dict[str, str] | None = members.pop("exception", None)
        self.stack: str | None = members.pop("stack", None)
        self.limit_bytes: int | None = members.pop("limit_bytes", None)
        self.peak_bytes: int | None = members.pop("peak_bytes", None)
        if members:
            raise TypeError(f"unknown members of an error: {', '.join(sorted(members))}")

    def to_problem(self) -> dict[str, Any]:
        """The RFC 9457 object; members that do not apply are left out."""
        problem: dict[str, Any] = {
            "type": TYPE_BASE + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "outcome": self.outcome,
        }
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                problem[name] = value
        return problem

    @staticmethod
    def from_problem(problem: dict[str, Any]) -> "PythonPoolError":
        """The typed exception of a problem object; an unknown code gives `Internal`."""
        cls = BY_CODE.get(str(problem.get("code")), Internal)
        members = {name: problem[name] for name in _OPTIONAL if problem.get(name) is not None}
        outcome = problem.get("outcome")
        known: Outcome | None = (
            outcome if outcome in ("not_started", "unknown", "finished") else None
        )
        return cls(str(problem.get("detail", cls.title)), outcome=known, **members)


class InvalidArgument(PythonPoolError):
    """Bad path, query, header, JSON, or args that do not fit the command's schema."""

    code = "invalid_argument"
    status = 400
    title = "Invalid argument"
    default_outcome = "not_started"


class Unauthenticated(PythonPoolError):
    """No valid token."""

    code = "unauthenticated"
    status = 401
    title = "No valid token"
    default_outcome = "not_started"


class PermissionDenied(PythonPoolError):
    """Not allowed on this pool."""

    code = "permission_denied"
    status = 403
    title = "Not allowed"
    default_outcome = "not_started"


class NotFound(PythonPoolError):
    """No such path."""

    code = "not_found"
    status = 404
    title = "Not found"
    default_outcome = "not_started"


class PoolNotFound(NotFound):
    """No pool of that name."""

    code = "pool_not_found"
    title = "No such pool"


class CommandNotFound(NotFound):
    """The adapter offers no command of that name."""

    code = "command_not_found"
    title = "No such command"


class SessionNotFound(NotFound):
    """Malformed, deleted, or somebody else's session."""

    code = "session_not_found"
    title = "No such session"


class ExecutionNotFound(NotFound):
    """No such execution, or somebody else's."""

    code = "execution_not_found"
    title = "No such execution"


class WorkerNotFound(NotFound):
    """The pool has no worker of that name."""

    code = "worker_not_found"
    title = "No such worker"


class MethodNotAllowed(PythonPoolError):
    """The path exists, but not for this method."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"
    default_outcome = "not_started"


class RequestTimeout(PythonPoolError):
    """The request, or its args, came too slowly."""

    code = "request_timeout"
    status = 408
    title = "The request came too slowly"
    default_outcome = "not_started"


class SessionExpired(PythonPoolError):
    """The session's TTL passed."""

    code = "session_expired"
    status = 410
    title = "The session has expired"
    default_outcome = "not_started"


class SessionLost(PythonPoolError):
    """The session's worker is gone and nothing was saved."""

    code = "session_lost"
    status = 410
    title = "The session is lost"
    default_outcome = "not_started"


class ExecutionLost(PythonPoolError):
    """The execution's worker is gone."""

    code = "execution_lost"
    status = 410
    title = "The execution is lost"
    default_outcome = "not_started"


class PayloadTooLarge(PythonPoolError):
    """The body is over the router's limit."""

    code = "payload_too_large"
    status = 413
    title = "The request body is too large"
    default_outcome = "not_started"


class CommandFailed(PythonPoolError):
    """The command raised; `exception` says what."""

    code = "command_failed"
    status = 422
    title = "The command raised an exception"
    default_outcome = "finished"


class ResourceExhausted(PythonPoolError):
    """Python pool is at capacity; `retry_after_ms` says when to come back."""

    code = "resource_exhausted"
    status = 429
    title = "Python pool is at capacity"
    default_outcome = "not_started"


class HeaderTooLarge(PythonPoolError):
    """Over 16 KiB or 64 fields."""

    code = "header_too_large"
    status = 431
    title = "The request head is too large"
    default_outcome = "not_started"


class Cancelled(PythonPoolError):
    """Ended by the caller or by DELETE."""

    code = "cancelled"
    status = 499
    title = "The call was cancelled"
    default_outcome = "unknown"


class Internal(PythonPoolError):
    """A defect of pythonpool's own."""

    code = "internal"
    status = 500


class WorkerCrashed(PythonPoolError):
    """The executor or worker died."""

    code = "worker_crashed"
    status = 502
    title = "The worker crashed"


class OutOfMemory(PythonPoolError):
    """The executor or worker died because of memory."""

    code = "out_of_memory"
    status = 502
    title = "Out of memory"


class ResultTooLarge(PythonPoolError):
    """The result is over `results.maxBytes`."""

    code = "result_too_large"
    status = 502
    title = "The result is too large"
    default_outcome = "finished"


class Unavailable(PythonPoolError):
    """No worker, and none on its way that could come in time."""

    code = "unavailable"
    status = 503
    title = "The pool has no worker"
    default_outcome = "not_started"


class Timeout(PythonPoolError):
    """The deadline passed and the command has been killed."""

    code = "timeout"
    status = 504
    title = "Python operation timed out"


def _tree(cls: type[PythonPoolError]) -> list[type[PythonPoolError]]:
    return [cls, *(below for sub in cls.__subclasses__() for below in _tree(sub))]


BY_CODE: dict[str, type[PythonPoolError]] = {cls.code: cls for cls in _tree(PythonPoolError)[1:]}
