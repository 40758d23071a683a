"""Everything that goes wrong in other people's code, on purpose.

Shows what a pool does about it, and lets tests and documentation make it happen at will.
"""

import asyncio
import builtins
import ctypes
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, NoReturn

from pythonpool import Adapter, Context, command
from pythonpool.adapter import Session

_MIB = 1024 * 1024
How = Literal["plain", "setsid", "daemon"]


class Troubles(Adapter):
    """Commands that hang, die, leak, flood and lie."""

    def start(self) -> None:
        """`config: {start: "raise"}` makes the template fail, `exit` and `complain` end."""
        _misbehave(self.config.get("start"))

    def open(self) -> None:
        """`config: {open: …}` does the same to each executor."""
        _misbehave(self.config.get("open"))
        self.kept: list[bytearray] = []

    def open_session(self, session: Session) -> None:
        """`context: {"open": "raise"}` makes it fail, `exit`, `hang` and `thread` do the same."""
        _misbehave(session.context.get("open"))

    # Time

    @command
    def sleep(self, seconds: float) -> dict[str, Any]:
        """Wait in the kernel."""
        time.sleep(seconds)
        return {"slept": seconds, "pid": os.getpid()}

    @command
    async def async_sleep(self, seconds: float) -> dict[str, Any]:
        """Wait in the event loop."""
        await asyncio.sleep(seconds)
        return {"slept": seconds, "pid": os.getpid()}

    @command
    def spin(self, seconds: float) -> int:
        """Loop in Python bytecode; returns the rounds."""
        until, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            rounds += 1
        return rounds

    @command
    def c_call(self, rounds: int = 2_000_000_000) -> str:
        """One call into C that lets go of the GIL: PBKDF2."""
        return hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds).hex()

    @command
    def gil_call(self, length: int = 40) -> bool:
        """One call into C that holds the GIL: a catastrophic regular expression."""
        return re.match(r"(a+)+$", "a" * length + "b") is not None

    @command
    def swallow(self, seconds: float) -> str:
        """Catch everything that can be caught, again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                time.sleep(0.05)
            except BaseException:  # noqa: BLE001
                continue
        return "nothing could stop me"

    @command
    def ignore_sigterm(self, seconds: float) -> str:
        """Ignore SIGTERM and SIGINT, then wait."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(seconds)
        return "slept"

    @command
    def polite(self, context: Context, seconds: float) -> str:
        """Wait, but stop soon when cancelled."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not context.is_cancelled:
            time.sleep(0.01)
        return "cancelled" if context.is_cancelled else "slept"

    # Death

    @command
    def fail(self, kind: str = "ValueError", message: str = "on purpose") -> NoReturn:
        """Raise a builtin exception by name: KeyboardInterrupt, SystemExit, MemoryError, …."""
        found = getattr(builtins, kind, None)
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            raise LookupError(f"no exception {kind}")
        raise found(message)

    @command
    async def async_fail(self, kind: str = "ValueError", message: str = "on purpose") -> NoReturn:
        """Raise a builtin exception by name in the event loop."""
        await asyncio.sleep(0)
        self.fail(kind, message)

    @command
    def exit(self, code: int = 1, hard: bool = False) -> NoReturn:
        """End the process: `sys.exit`, or with `hard` `os._exit`."""
        if hard:
            os._exit(code)
        sys.exit(code)

    @command
    def kill_self(self, signal_number: int = 9) -> str:
        """Send this process a signal; 19 (SIGSTOP) only stops it."""
        os.kill(os.getpid(), signal_number)
        time.sleep(60)
        return "still here"

    @command(idempotent=True)
    def die_first(self, path: str, times: int = 1) -> int:
        """Note each run in a file and die in the first ones; may be run again."""
        with open(path, "a", encoding="utf-8") as file:
            file.write("run\n")
        with open(path, encoding="utf-8") as file:
            runs = len(file.readlines())
        if runs <= times:
            os._exit(1)
        return runs

    @command
    def segfault(self) -> NoReturn:
        """Read from address 0."""
        ctypes.string_at(0)
        raise AssertionError("address 0 was readable")

    @command
    def stop_self(self) -> str:
        """Stop this process with SIGSTOP."""
        os.kill(os.getpid(), signal.SIGSTOP)
        return "somebody sent SIGCONT"

    # Memory, output, size

    @command
    def allocate(self, megabytes: int, seconds: float = 0.0, keep: bool = False) -> int:
        """Touch memory, in equal steps over `seconds`; `keep` holds it after the call."""
        steps = max(1, min(megabytes, int(seconds / 0.01))) if seconds else 1
        held: list[bytearray] = []
        for step in range(steps):
            share = megabytes * (step + 1) // steps - megabytes * step // steps
            held.append(bytearray(b"\1") * (share * _MIB))
            time.sleep(seconds / steps)
        if keep:
            self.kept += held
        return sum(map(len, held))

    @command
    def flood(self, megabytes: int, line_bytes: int = 100) -> int:
        """Print a lot; returns the bytes."""
        line = "x" * (line_bytes - 1) + "\n"
        count = megabytes * _MIB // line_bytes
        for _ in range(count):
            sys.stdout.write(line)
        return count * line_bytes

    @command
    def say(self, text: str, error: bool = False) -> str:
        """Print one line, to stderr with `error`."""
        print(text, file=sys.stderr if error else sys.stdout)
        return text

    @command
    def big_result(self, size: int) -> str:
        """A JSON text whose body is `size` bytes."""
        return "x" * (size - 2)

    @command
    def big_bytes(self, size: int) -> bytes:
        """`size` bytes."""
        return bytes(size)

    @command
    def count_bytes(self, data: bytes) -> int:
        """How long the body was."""
        return len(data)

    @command
    def length_of(self, text: str) -> int:
        """How long a text was."""
        return len(text)

    @command
    def odd_result(
        self, kind: Literal["nan", "bytes", "object", "cycle", "huge", "surrogate"]
    ) -> Any:
        """Results that JSON does not have."""
        cycle: list[Any] = []
        cycle.append(cycle)
        odd = {
            "nan": {"a": float("nan"), "b": [float("inf")]},
            "bytes": {"data": b"\0\1"},
            "object": object(),
            "cycle": cycle,
            "huge": 2**70,
            "surrogate": "\ud800",
        }
        return odd[kind]

    # Children and threads

    @command
    def spawn(self, how: How = "plain", count: int = 1, seconds: float = 600.0) -> list[int]:
        """Leave children behind that ignore SIGTERM; returns their process ids."""
        return [_spawn(how, seconds) for _ in range(count)]

    @command
    def spawn_and_wait(self, how: How = "plain", seconds: float = 600.0) -> int:
        """Spawn one, and wait with it."""
        pid = _spawn(how, seconds)
        time.sleep(seconds)
        return pid

    @command
    def fork_and_return(self) -> int:
        """Fork, and let both processes return."""
        return os.fork()

    @command
    def leave_threads(self, count: int = 1, seconds: float = 600.0) -> int:
        """Leave threads running; returns how many there are now."""
        for _ in range(count):
            threading.Thread(target=time.sleep, args=(seconds,), daemon=True).start()
        return threading.active_count()

    @command
    def leave_alarm(self, seconds: float = 0.2) -> str:
        """Leave an alarm that would kill whoever runs next."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return "set"

    @command
    async def leave_task(self) -> str:
        """Leave a task in the event loop."""
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(600))
        return "left"

    # Streams and sessions

    @command
    def count_to(self, context: Context, n: int, pause_seconds: float = 0.0) -> Iterator[int]:
        """Yield 1 to n."""
        for number in range(1, n + 1):
            context.progress(number / n, number=number)
            time.sleep(pause_seconds)
            yield number

    @command
    async def async_count_to(self, n: int) -> AsyncIterator[int]:
        """Yield 1 to n from an async generator."""
        for number in range(1, n + 1):
            await asyncio.sleep(0)
            yield number

    @command
    def fail_midway(self, n: int) -> Iterator[int]:
        """Yield 1 to n, then raise."""
        yield from range(1, n + 1)
        raise ValueError("midway")

    @command
    def report(self, context: Context, times: int, seconds: float = 0.0) -> int:
        """Report progress as often as asked, then return."""
        for number in range(times):
            context.progress((number + 1) / times, number=number + 1)
            time.sleep(seconds / times)
        return times

    @command
    def count(self, context: Context, by: int = 1, then: Literal["", "raise", "hang"] = "") -> int:
        """Count in the session's state; then perhaps raise or hang."""
        session = _session(context)
        session.state["count"] = int(session.state.get("count", 0)) + by
        if then == "raise":
            raise ValueError(f"counted to {session.state['count']}")
        if then == "hang":
            time.sleep(600)
        return int(session.state["count"])

    @command
    def grow_state(self, context: Context, size: int) -> int:
        """Make the session's state `size` bytes larger."""
        _session(context).state["ballast"] = "x" * size
        return size

    @command
    def odd_state(self, context: Context) -> str:
        """Put something into the session's state that JSON does not have."""
        _session(context).state["odd"] = object()
        return "kept in memory only"

    @command
    def who(self, context: Context) -> dict[str, Any]:
        """Which process this is, and what it was told."""
        session = context.session
        return {
            "pid": os.getpid(),
            "thread": threading.get_native_id(),
            "call_id": context.call_id,
            "session": None if session is None else session.id,
            "session_context": None if session is None else session.context,
            "seconds_left": context.deadline - time.monotonic(),
        }

    @command
    def journal(self, path: str, line: str, seconds: float = 0.0) -> int:
        """Append a line to a file, wait, append it once more: shows what ran, and how often."""
        for part in ("begin", "end"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{part} {line}\n")
            if part == "begin":
                time.sleep(seconds)
        return os.getpid()


class Savers(Troubles):
    """The same with `save` and `load`: the state of a session is one number in its own form."""

    def save(self, session: Session) -> bytes:
        """The count in eight bytes; `{"fail": true}` in the state makes it raise."""
        if session.state.get("fail"):
            raise RuntimeError("save fails on purpose")
        return int(session.state.get("count", 0)).to_bytes(8, "big")

    def load(self, session: Session, data: bytes) -> None:
        """Take it up; `context: {"load": "raise"}` makes it fail."""
        _misbehave(session.context.get("load"))
        session.state["count"] = int.from_bytes(data, "big")


class Spawned(Troubles):
    """The same, but not to be forked."""

    fork = False


def _session(context: Context) -> Session:
    if context.session is None:
        raise LookupError("this command needs a session")
    return context.session


def _misbehave(how: str | None) -> None:
    if how == "raise":
        raise RuntimeError("on purpose")
    if how == "exit":
        sys.exit(3)
    if how == "complain":
        print("no licence for the solver", file=sys.stderr, flush=True)
        os._exit(3)
    if how == "hang":
        time.sleep(600)
    if how == "thread":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def _spawn(how: How, seconds: float) -> int:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"if {how!r} == 'daemon' and os.fork(): os._exit(0)\n"
        f"if {how!r} != 'plain': os.setsid()\n"
        "print(os.getpid(), flush=True)\n"
        f"time.sleep({seconds})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    if child.stdout is None:
        raise AssertionError("a pipe was asked for")
    with child.stdout as output:
        return int(output.readline())
