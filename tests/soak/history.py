"""What a soak leaves behind: the callers' log, the adapter's journal, and what stood still.

All times are seconds of CLOCK_MONOTONIC, which callers and executors of one machine share.
"""

import json
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["not_started", "unknown", "finished"]

PAGE_BYTES = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class Sent:
    """One call as its caller saw it.

    Attributes:
        nonce: the caller's own mark, in the args and in every good answer.
        sent: when the last byte of the request was given to the kernel.
        answered: when the answer was there; for `reset`, `gone` and `silent` when the caller knew.
        code: `ok`, an error code, `reset` (connection lost), `gone` (the caller hung up) or
            `silent` (no answer until the caller's patience ended).
        outcome: what the answer said; `unknown` without one, `finished` for `ok`.
        allowed: seconds until the answer at the latest: the time that it waited (by its answer,
            else the queue timeout) and the time to run.
        timeout: the time to run that was asked for.
        id: execution id, empty where no answer named it.
        echoed: the nonce in the answer; None when the answer has none.
        worker: who answered; empty when no worker did.
        session: the session's number in this soak, or empty.
        count: the session's counter that the answer told.
        shape: what the command was asked to do.
        cause: of the error, where it has one.
        ends_itself: the command ends before its time to run, when nothing hits it.
        is_idempotent: it may be run again, once, after `worker_crashed`.
        retry_after_ms: of a refusal.
        idle: seconds that the caller left the answer unread.
    """

    nonce: str
    sent: float
    answered: float
    code: str
    outcome: Outcome
    allowed: float
    timeout: float
    id: str = ""
    echoed: str | None = None
    worker: str = ""
    session: str = ""
    count: int | None = None
    shape: str = "sleep"
    cause: str = ""
    ends_itself: bool = True
    is_idempotent: bool = False
    retry_after_ms: int | None = None
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal.

    Attributes:
        is_end: the end of a command (it returned or raised), else its start.
        id: execution id.
        nonce: from the args.
        worker: its name.
        pid: the executor; counts its calls as an incarnation of its own.
        at: when.
        count: the session's counter at the end of the call, else None.
    """

    is_end: bool
    id: str
    nonce: str
    worker: str
    pid: int
    at: float
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """From when to when something stood still, or was made to.

    Attributes:
        began: when.
        ended: when, and a time to recover.
        why: for the report.
        only_kills: answers came all the same, but nothing could be killed.
        is_measured: nobody made it: the machine gave no time to a process that did nothing else
            than wake up, or to the callers.
    """

    began: float
    ended: float
    why: str = ""
    only_kills: bool = False
    is_measured: bool = False


@dataclass(frozen=True, slots=True)
class Strike:
    """Something that was made to fail, and whom it may hit.

    Attributes:
        began: when.
        ended: until when its victims know.
        why: for the report.
        worker: only calls and sessions of this one; None: of any.
        pid: only calls that this process ran; None: any.
        only_sessions: no call may be hit, a session may be lost.
    """

    began: float
    ended: float
    why: str = ""
    worker: str | None = None
    pid: int | None = None
    only_sessions: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """When the process of a call that was given up was seen to be dead; None: never."""

    nonce: str
    pid: int
    dead: float | None


@dataclass(frozen=True, slots=True)
class History:
    """All of one soak.

    Attributes:
        sent: by the callers, in the order of their answers.
        journal: in the order of its lines.
        pauses: what excuses a late answer.
        strikes: from when to when something that was made to fail may hit those it served.
        deaths: of the processes of calls that timed out or whose caller left.
        slots: of each worker.
        is_shared: the calls of a worker share one executor, and its death is theirs.
        finishes: a call whose caller has gone runs to its end.
        is_kept: a session outlives the kill of its executor.
    """

    sent: tuple[Sent, ...]
    journal: tuple[Line, ...]
    pauses: tuple[Pause, ...] = ()
    strikes: tuple[Strike, ...] = ()
    deaths: tuple[Death, ...] = ()
    slots: int = 1
    is_shared: bool = False
    finishes: bool = False
    is_kept: bool = True


def read_journal(path: Path) -> tuple[Line, ...]:
    """The journal's lines.

    Raises:
        ValueError: a line that is not whole: two writers mixed theirs.
    """
    if not path.exists():
        return ()
    return tuple(_lines(whole_lines(path.read_bytes())))


def whole_lines(data: bytes, began: int = 0) -> Iterator[bytes]:
    """The lines of a journal from the byte `began` on, without those whose writer was killed.

    The kernel breaks a killed process's write off only where a page ends; each line is written with
    a line end before it, too, so that a part stands alone.
    """
    for line in data.split(b"\n"):
        ended = began + len(line)
        is_torn = ended % PAGE_BYTES == 0 and not line.endswith(b"}")
        if line and not is_torn:
            yield line
        began = ended + 1


def _lines(texts: Iterable[bytes]) -> Iterable[Line]:
    for number, text in enumerate(texts, 1):
        try:
            yield Line(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {number} of the journal is not whole: {text!r}") from error
