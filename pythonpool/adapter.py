"""What users subclass: `Adapter`, its commands, and what a running command is told.

Knows nothing of sockets and processes. `pythonpool.sdk.loading` finds adapters,
`pythonpool.sdk.commands` reads what they offer, and the executor runs them.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from pythonpool.sdk.state import encode_state

if TYPE_CHECKING:
    from pydantic import BaseModel

MARK = "__pythonpool_command__"
"""The attribute of a function that says it is a command; its value is a `Mark`."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


class AdapterError(Exception):
    """An adapter can not be used; one line: which one, why, and what it must be."""


@dataclass(slots=True)
class Session:
    """State that lives on one worker between calls.

    Attributes:
        id: the handle that the caller holds.
        state: kept between calls and, as JSON, over the death of a process: values that JSON has,
            text as keys. Whatever else is put here is the adapter's own `save` and `load` to keep.
        context: what the caller gave when the session was opened, else None.
    """

    id: str
    state: dict[str, Any]
    context: Any = None


def nobody_asked(fraction: float, fields: dict[str, Any]) -> None:
    """Progress of a call that is not streamed goes nowhere."""


def _never() -> bool:
    return False


class Context:
    """What a running command is told about its call.

    Made by the executor; a test of an adapter makes one with `Context()`.

    Attributes:
        call_id: the execution id.
        deadline: seconds of `time.monotonic()` at which the process is killed.
        pool: name of the pool.
        worker: name of the worker.
        config: the adapter's own `config`.
        session: None, or the session that this call belongs to.
        traceparent: the W3C trace context that came with the call, else empty.
    """

    __slots__ = (
        "_cancelled",
        "_report",
        "call_id",
        "config",
        "deadline",
        "pool",
        "session",
        "traceparent",
        "worker",
    )

    def __init__(
        self,
        call_id: str = "",
        deadline: float | None = None,
        pool: str = "",
        worker: str = "",
        config: Any = None,
        session: Session | None = None,
        traceparent: str = "",
        report: Callable[[float, dict[str, Any]], None] = nobody_asked,
        cancelled: Callable[[], bool] = _never,
    ) -> None:
        self.call_id = call_id
        self.deadline = time.monotonic() + 3600.0 if deadline is None else deadline
        self.pool = pool
        self.worker = worker
        self.config = config
        self.session = session
        self.traceparent = traceparent
        self._report = report
        self._cancelled = cancelled

    def progress(self, fraction: float, **fields: Any) -> None:
        """Tell the caller how far the call is.

        A caller that reads a stream gets at most 50 a second, and always the last one.

        Args:
            fraction: 0 to 1; what is outside is moved to the nearer end.
            fields: anything JSON can carry, at most 48 KiB in all.

        Raises:
            TypeError: a field that JSON can not carry.
            ValueError: the fields are too large.
        """
        self._report(min(max(float(fraction), 0.0), 1.0), fields)

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller has given up: stop soon, the process is killed after a short grace.

        Cheap enough to be asked in a loop; the answer is at most 10 ms old.
        """
        return self._cancelled()


@dataclass(frozen=True, slots=True)
class Mark:
    """What `@command` was given; see there."""

    name: str | None
    timeout_seconds: float | None
    idempotent: bool


@overload
def command(function: _Function, /) -> _Function: ...


@overload
def command(
    *, name: str | None = None, timeout_seconds: float | None = None, idempotent: bool = False
) -> Callable[[_Function], _Function]: ...


def command(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout_seconds: float | None = None,
    idempotent: bool = False,
) -> Any:
    """Offer a method of an adapter as a command.

    The method may be plain, async, a generator or an async generator. Its first parameter may be
    `context: Context`; the others are the args, checked against their types before it is called.
    One single parameter of type `bytes` takes the request's body as it is; `**args: Any` takes
    any names.

    Args:
        function: the method, when the decorator is used without brackets.
        name: what callers write, `^[a-z][a-z0-9_.-]{0,63}$`; the method's own name by default.
        timeout_seconds: time to run when the caller names none, 0 < t; the pool's by default.
        idempotent: a second run does no harm, so the call may be run again after a crash.
    """
    mark = Mark(name, timeout_seconds, idempotent)

    def mark_it(function: _Function) -> _Function:
        setattr(function, MARK, mark)
        return function

    return mark_it if function is None else mark_it(function)


class Adapter:
    """The root of every adapter: named commands and, all optional, the hooks below.

    Attributes:
        fork: False when executors must be spawned instead of forked from the template.
        config_model: the pydantic model that checks `spec.config`; None leaves it a plain dict.
        config: `spec.config` after that check; set before `start()`.
    """

    fork: ClassVar[bool] = True
    config_model: "ClassVar[type[BaseModel] | None]" = None

    config: Any = None

    def start(self) -> None:
        """Once, in the template, before the fork: import and load what is only read.

        No connections, threads or devices here.
        """

    def open(self) -> None:
        """In each executor, after the fork and before its first call: connections, devices."""

    def close(self) -> None:
        """In each executor that ends in peace; one that is killed never gets here."""

    def open_session(self, session: Session) -> None:
        """A session begins; what is raised refuses it."""

    def close_session(self, session: Session) -> None:
        """A session ends in peace: deleted, expired or drained."""

    def save(self, session: Session) -> bytes:
        """All that `load` needs to go on with the session in a fresh process; its state as JSON.

        Called after each finished call.

        Raises:
            TypeError: the state holds what JSON can not carry.
        """
        return encode_state(session.state)

    def load(self, session: Session, data: bytes) -> None:
        """Instead of `open_session` in a fresh process: take up what `save` gave."""
        session.state.update(json.loads(data))
