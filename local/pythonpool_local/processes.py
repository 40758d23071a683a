"""The supervisor's children: started so that none outlives it, reaped in one place, swept.

Every child leads a process group of its own and is told by the kernel when the supervisor dies.
The supervisor is a subreaper: what a dead keeper left behind lands here, and an unknown child is a
leftover, to be killed.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pythonpool_local.output import open_log
from pythonpool_local.proctable import children_of_self, start_ticks

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Program:
    """What to start.

    Attributes:
        argv: the program and its arguments.
        environment: all that it sees.
        folder: its working directory.
        log: where stdout and stderr are appended.
        descriptors: numbers that it inherits under the same number.
        death_signal: what it gets when the supervisor dies.
        ignores_hangup: SIGHUP is ignored until the program asks for it.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    descriptors: tuple[int, ...] = ()
    death_signal: signal.Signals = signal.SIGKILL
    ignores_hangup: bool = False


@dataclass(slots=True, eq=False)
class Child:
    """One running or dead process.

    Attributes:
        pid: of the process, and of its group.
        ticks: when it started, in clock ticks since boot: with the pid, its identity.
        exited: its return code, minus the signal that killed it.
    """

    pid: int
    ticks: int
    exited: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def is_running(self) -> bool:
        """Not reaped yet, so the pid is its own."""
        return not self.exited.done()

    def send(self, number: signal.Signals) -> None:
        """Signal the process alone; nothing when it is dead."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def end(self, grace_seconds: float) -> int:
        """SIGTERM, then SIGKILL after the grace. Its return code."""
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.exited), grace_seconds)
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await asyncio.shield(self.exited)


class Children:
    """All processes below the supervisor. One for a process; call `open` in its main thread."""

    def __init__(self) -> None:
        self._known: dict[int, Child] = {}
        self._inherited: set[int] = set()
        self._emptied: asyncio.Event = asyncio.Event()

    def open(self) -> None:
        """Become a subreaper and take over SIGCHLD; children that are there already are let be."""
        self._inherited = set(children_of_self())
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    @property
    def identities(self) -> list[tuple[int, int]]:
        """Pid and start of every running child."""
        return [(child.pid, child.ticks) for child in self._known.values()]

    def start(self, program: Program) -> Child:
        """Start a program; it is in the table before anybody could take it for a leftover.

        Raises:
            OSError: it can not be started, or its log can not be written.
        """
        log = open_log(program.log)
        try:
            process = subprocess.Popen(
                program.argv,
                env=dict(program.environment),
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=program.descriptors,
                process_group=0,
                preexec_fn=_Birth(os.getpid(), program),
            )
        finally:
            os.close(log)
        process.returncode = 0  # reaped here, never by subprocess
        child = Child(process.pid, start_ticks(process.pid))
        self._known[child.pid] = child
        return child

    def sweep(self) -> None:
        """Kill every child that nobody here started; each death brings the next sweep."""
        for pid in self._left():
            if pid not in self._known:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def end_all(self) -> None:
        """Kill whatever is left, until this process has no child."""
        for child in list(self._known.values()):
            child.send(signal.SIGKILL)
        while self._left():
            self._reap()
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), 0.05)

    def _left(self) -> list[int]:
        return [pid for pid in children_of_self() if pid not in self._inherited]

    def _reap(self) -> None:
        while (pid := _waiting_dead()) is not None:
            child = self._known.pop(pid, None)
            if child is not None:
                # Before it is reaped its number is taken, so the group can be no other one.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self._inherited.discard(pid)
            if child is not None:
                child.exited.set_result(os.waitstatus_to_exitcode(status))
        self.sweep()
        self._emptied.set()


class _Birth:
    """What a child does between fork and exec."""

    def __init__(self, parent: int, program: Program) -> None:
        self._parent = parent
        self._death_signal = int(program.death_signal)
        self._ignores_hangup = program.ignores_hangup

    def __call__(self) -> None:
        _libc.prctl(_SET_PDEATHSIG, self._death_signal, 0, 0, 0)
        if os.getppid() != self._parent:
            os._exit(1)
        if self._ignores_hangup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _waiting_dead() -> int | None:
    """A dead child that nobody has reaped yet."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def how_it_ended(code: int) -> str:
    """A return code in words: `exit code 1`, `signal 9 (SIGKILL)`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
