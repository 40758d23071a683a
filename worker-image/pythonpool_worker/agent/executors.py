"""The executors of this worker: which are idle, which are on their way, which are dying.

There is always one more than there are slots: the standby, which steps in when one is killed. With
threads there is one that takes all calls, and its standby. A session (without threads) takes one
for itself. Starting and killing is the keeper's work.
"""

import contextlib
import logging
import os
import random
import socket
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pythonpool.messages import LIMITS, Kind, ProtocolError, frame
from pythonpool_worker.agent.channel import Channel
from pythonpool_worker.agent.timers import Timers

if TYPE_CHECKING:
    from pythonpool_worker.agent.sessions import Session

_log = logging.getLogger("pythonpool.agent")

KEEPER_ANSWERS_SECONDS = 0.2
"""How long a killed call's answer waits for the keeper's word and the stack."""

_END_WITHOUT_DEATH_SECONDS = 1.0
_FIRST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Kill:
    """What is known once SIGKILL was sent; `is_sent` False when the keeper did not say in time."""

    stack: str | None = None
    is_unkillable: bool = False
    is_sent: bool = True


@dataclass(frozen=True, slots=True)
class Death:
    """An executor died, not by our word: the keeper's cause and, for memory, figures in bytes."""

    cause: str
    limit_bytes: int | None = None
    peak_bytes: int | None = None


class Errand(Protocol):
    """One number on a channel: a run, the opening of a session, its closing."""

    def frame(self, kind: int, payload: bytes) -> None:
        """A frame of the executor."""
        ...

    def killed(self, kill: Kill) -> None:
        """The executor was killed on our word."""
        ...

    def died(self, death: Death) -> None:
        """The executor died, and what it had written has been read."""
        ...


@dataclass(slots=True, eq=False)
class Executor:
    """One executor. `ending` is why it is being ended by us, empty while it lives."""

    id: int
    pid: int
    channel: Channel
    errands: dict[int, Errand] = field(default_factory=dict)
    sessions: "set[Session]" = field(default_factory=set)
    is_ready: bool = False
    is_own: bool = False
    is_used: bool = False
    ending: str = ""
    is_kill_known: bool = False
    debts: list[Callable[[Kill], None]] = field(default_factory=list)


# `is_used`: a call was done or a session opened, so that one that only dies is told from others.
Taker = Callable[[Executor], None]


class Executors:
    """All executors that live, by the keeper's ids.

    Attributes:
        is_lacking: the last one that was asked for could not start, and none has since.
        exits: deaths by cause, since the agent's start; our own tidying away is not counted.
    """

    def __init__(
        self, slots: int, *, threads: bool, timers: Timers, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self.exits: Counter[str] = Counter()
        self.is_lacking = False
        self._threads = threads
        self._target = 2 if threads else slots + 1
        self._timers = timers
        self._tell = tell
        self._all: dict[int, Executor] = {}
        self._starting: set[int] = set()
        self._idle: list[Executor] = []
        self._takers: deque[Taker] = deque()
        self._openers: deque[Taker] = deque()
        self._last_id = 0
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._is_filling = False
        self._is_paused = False
        self._limits = b""
        self.on_change: Callable[[], None] = _nothing
        self.on_gone: Callable[[Executor, str], None] = _ignore
        self.on_unkillable: Callable[[bool], None] = _ignore_it
        self.prepare: Callable[[Executor, Callable[[bool], None]], None] | None = None

    @property
    def ready(self) -> int:
        """Executors that could take a call, or have one."""
        return sum(each.is_ready and not each.ending for each in self._all.values())

    @property
    def is_enough(self) -> bool:
        """There is one for each slot; the standby may be on its way."""
        return self.ready >= self._target - 1

    @property
    def errands(self) -> int:
        """Calls that run, sessions that are opened or closed."""
        return sum(len(each.errands) for each in self._all.values())

    def fill(self) -> None:
        """From now on ask the keeper for what is missing."""
        self._is_filling = True
        if self._is_paused:
            return
        pooled = sum(not each.ending and not each.is_own for each in self._all.values())
        for _ in range(self._target - pooled - len(self._starting)):
            self._last_id += 1
            self._starting.add(self._last_id)
            self._tell({"t": "start", "id": self._last_id})

    def take_now(self, *, spare: bool = False) -> Executor | None:
        """One that is ready for a call, or None; with `spare` one beyond those of the slots."""
        if not self._idle or (spare and not self._has_spare()):
            return None
        return self._idle[0] if self._threads else self._idle.pop()

    def wait(self, taker: Taker, *, spare: bool = False) -> None:
        """Give `taker` the next that is ready, or is to spare; first come, first served."""
        (self._openers if spare else self._takers).append(taker)

    def leave(self, taker: Taker) -> None:
        """A taker does not wait any more; one that does not wait is passed over."""
        for line in (self._takers, self._openers):
            with contextlib.suppress(ValueError):
                line.remove(taker)

    def keep(self, executor: Executor) -> None:
        """A session has it for itself from now on (not with threads)."""
        executor.is_used = True
        if not self._threads:
            executor.is_own = True
            self.fill()

    def release(self, executor: Executor) -> None:
        """It has done its call; the next taker gets it."""
        self._retry_seconds = _FIRST_RETRY_SECONDS
        executor.is_used = True
        if executor.ending or executor.is_own or self._threads:
            return
        if self._takers:
            self._takers.popleft()(executor)
        else:
            self._idle.append(executor)

    def kill(self, executor: Executor, why: str, *, dump: bool = False) -> None:
        """Burn its channel and have it killed; its errands are told when SIGKILL was sent.

        `why`: `timeout` and `cancelled` are counted as exits; `closed` is our own tidying away.
        """
        if executor.ending:
            return
        self._withdraw(executor, why)
        self._tell({"t": "kill", "id": executor.id, "dump": dump})
        self._timers.after(KEEPER_ANSWERS_SECONDS, self._keeper_is_late, executor)
        self.on_gone(executor, why)
        if self._is_filling:
            self.fill()

    def limit(self, result_bytes: int, state_bytes: int) -> None:
        """From now on these are the limits of results and of states, whatever worker.json says."""
        self._limits = frame(Kind.CONFIG, 0, LIMITS.pack(result_bytes, state_bytes))
        for executor in self._all.values():
            if not executor.ending:
                executor.channel.send(self._limits)

    def started(self, message: dict[str, Any], descriptor: int) -> None:
        """The keeper: an executor is ready, and this is the socket to it."""
        number, pid = message.get("id"), message.get("pid")
        end = _as_socket(descriptor)
        if not isinstance(number, int) or number not in self._starting or end is None:
            if end is not None:
                end.close()
            return
        self._starting.discard(number)
        self.is_lacking = False
        executor = Executor(number, pid if isinstance(pid, int) else 0, Channel(end))
        executor.channel.listen(partial(self._frame, executor), partial(self._ended, executor))
        self._all[number] = executor
        if self._limits:
            executor.channel.send(self._limits)
        if self.prepare is None:
            self._prepared(executor, is_fit=True)
        else:
            self.prepare(executor, lambda is_fit: self._prepared(executor, is_fit=is_fit))

    def failed(self, message: dict[str, Any]) -> None:
        """The keeper: one could not start; it is tried again with backoff."""
        if message["id"] in self._starting:
            self._starting.discard(message["id"])
            self.is_lacking = True
            self._retry()

    def killed(self, message: dict[str, Any]) -> None:
        """The keeper: SIGKILL was sent."""
        executor = self._all.get(message["id"])
        if executor is None:
            return
        kill = Kill(message.get("stack"), bool(message.get("unkillable")))
        if kill.is_unkillable:
            self.on_unkillable(executor.is_kill_known)
        self._kill_is_known(executor, kill)

    def exited(self, message: dict[str, Any]) -> None:
        """The keeper: one was reaped."""
        executor = self._all.pop(message["id"], None)
        if executor is None:
            if message["id"] in self._starting:
                self.failed(message)
            return
        if executor.ending:
            if executor.ending != "closed":
                self.exits[executor.ending] += 1
            self._kill_is_known(executor, Kill())
        else:
            death = Death(message["cause"], message.get("limit_bytes"), message.get("peak_bytes"))
            if not executor.is_ready or not (executor.is_used or executor.errands):
                # It could not even wait for a call; the next one may fare no better.
                self._retry()
            self._died(executor, death)
        if self._is_filling:
            self.fill()
        self.on_change()

    def lose_all(self, cause: str) -> None:
        """The keeper is gone, and every executor with it."""
        self._is_filling = False
        self._is_paused = False
        self._starting.clear()
        for executor in list(self._all.values()):
            del self._all[executor.id]
            if executor.ending:
                self._kill_is_known(executor, Kill())
            else:
                self._died(executor, Death(cause))
        self.on_change()

    def session_executors(self) -> list[Executor]:
        """Those that hold sessions."""
        return [each for each in self._all.values() if each.sessions and not each.ending]

    def _prepared(self, executor: Executor, *, is_fit: bool) -> None:
        if executor.ending:
            return
        if not is_fit:
            self._retry()
            self.kill(executor, "closed")
            return
        executor.is_ready = True
        if self._threads:
            self._idle.append(executor)
            while self._takers:
                self._takers.popleft()(self._idle[0])
        elif self._takers:
            self._takers.popleft()(executor)
        else:
            # Behind those that have worked: calls go to the executor that is warm.
            self._idle.insert(0, executor)
        while self._openers and (spare := self.take_now(spare=True)) is not None:
            self._openers.popleft()(spare)
        self.on_change()

    def _has_spare(self) -> bool:
        pooled = sum(e.is_ready and not (e.is_own or e.ending) for e in self._all.values())
        return self._threads or pooled >= self._target

    def _frame(self, executor: Executor, kind: int, own: int, payload: bytes) -> None:
        errand = executor.errands.get(own)
        if errand is None:
            return
        try:
            errand.frame(kind, payload)
        except (ValueError, LookupError, TypeError) as error:
            raise ProtocolError(f"a bad frame of kind {kind}: {error!r}") from error

    def _ended(self, executor: Executor, *, is_broken: bool) -> None:
        # Its death, if it is one, is told by the keeper; an executor that lives on with its socket
        # closed is of no use.
        if executor in self._idle:
            self._idle.remove(executor)
        wait = 0.0 if is_broken else _END_WITHOUT_DEATH_SECONDS
        self._timers.after(wait, self._lives_on, executor)

    def _lives_on(self, executor: Executor) -> None:
        if executor.id in self._all and not executor.ending:
            _log.warning("executor %d lives on without a channel: killed", executor.pid)
            self._tell({"t": "kill", "id": executor.id, "dump": False})

    def _died(self, executor: Executor, death: Death) -> None:
        executor.channel.drain()
        self.exits[death.cause] += 1
        _log.warning("executor %d died: %s", executor.pid, death.cause)
        self._withdraw(executor, death.cause)
        for errand in list(executor.errands.values()):
            errand.died(death)
        executor.errands.clear()
        self.on_gone(executor, death.cause)

    def _withdraw(self, executor: Executor, why: str) -> None:
        executor.ending = why
        executor.channel.close()
        if executor in self._idle:
            self._idle.remove(executor)

    def _keeper_is_late(self, executor: Executor) -> None:
        if not executor.is_kill_known:
            for errand in list(executor.errands.values()):
                errand.killed(Kill(is_sent=False))
            executor.errands.clear()

    def _kill_is_known(self, executor: Executor, kill: Kill) -> None:
        executor.is_kill_known = True
        errands = list(executor.errands.values())
        executor.errands.clear()
        for errand in errands:
            errand.killed(kill)
        debts = list(executor.debts)
        executor.debts.clear()
        for debt in debts:
            debt(kill)

    def _retry(self) -> None:
        """Start nothing for a while, longer each time until a call is done."""
        if self._is_paused:
            return
        self._is_paused = True
        delay = self._retry_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        self._retry_seconds = min(_LONGEST_RETRY_SECONDS, self._retry_seconds * 2)
        self._timers.after(delay, self._go_on)

    def _go_on(self, _: object) -> None:
        self._is_paused = False
        if self._is_filling:
            self.fill()


def _as_socket(descriptor: int) -> socket.socket | None:
    """The socket that came from the keeper; closed, and None, when it is something else."""
    if descriptor < 0:
        return None
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None


def _nothing() -> None:
    """Until somebody wants to know."""


def _ignore(_executor: Executor, _cause: str) -> None:
    """Until somebody wants to know."""


def _ignore_it(_late: bool) -> None:
    """Until somebody wants to know."""
