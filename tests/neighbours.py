"""An adapter that is a bad neighbour: it takes all that a machine has, or throws away its own."""

import mmap
import os
import select
import struct
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from pythonpool.adapter import Adapter, Context, command

_MIB = 1024 * 1024


class Neighbours(Adapter):
    """Commands that no other pool should notice; all are bounded in count and time."""

    def start(self) -> None:
        """`config: {start: grow}` leaves 300 MB with the template."""
        print("the template starts")
        if self.config.get("start") == "grow":
            self.grown = b"\1" * (300 * _MIB)

    @command
    def who(self) -> int:
        """The process."""
        return os.getpid()

    @command
    def leave(self) -> NoReturn:
        """End the process."""
        os._exit(1)

    @command
    def flood(self, megabytes: int) -> int:
        """Write to stdout as fast as it takes; returns the bytes."""
        chunk, written = ("x" * 99 + "\n").encode() * 640, 0
        while written < megabytes * _MIB:
            written += os.write(1, chunk)
        return written

    @command
    def close_all(self, then: str = "return") -> int:
        """Close every descriptor of the process."""
        os.closerange(0, 65_536)
        if then == "wait":
            time.sleep(600)
        return os.getpid()

    @command
    def fork_for_ever(self, most: int, path: str, how: str = "plain") -> NoReturn:
        """Processes that fork until there are `most` of them, and then wait, all for 20 s."""
        count = mmap.mmap(-1, 4096)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if _next(count) < most and os.fork() == 0 and how == "setsid":
                os.setsid()
            elif struct.unpack_from("i", count)[0] >= most:
                Path(path).touch()
                time.sleep(0.2)
        os._exit(0)

    @command
    def take_processes(self, path: str, seconds: float) -> int:
        """Fork sleeping children until the system gives no more; keep them for a while."""
        children = 0
        try:
            while children < 5000:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                children += 1
        except OSError as error:
            Path(path).write_text(f"{children} children: {error}")
        time.sleep(seconds)
        return children

    @command
    def fork_once(self) -> int:
        """One fork."""
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return pid

    @command
    def take_at_once(self, megabytes: int) -> int:
        """One allocation."""
        return len(b"\1" * (megabytes * _MIB))

    @command
    def write_file(self, path: str, megabytes: int) -> int:
        """Write a file."""
        with open(path, "wb") as file:
            for _ in range(megabytes):
                file.write(bytes(_MIB))
        return megabytes

    @command
    def scratch(self, megabytes: int) -> int:
        """Write a temporary file, where TMPDIR says."""
        import tempfile

        with tempfile.NamedTemporaryFile() as file:
            for _ in range(megabytes):
                file.write(bytes(_MIB))
        return megabytes

    @command
    def open_files(self, seconds: float = 0.0) -> int:
        """Open files until the system gives no more."""
        files: list[Any] = []
        try:
            while len(files) < 100_000:
                files.append(open("/dev/null"))  # noqa: SIM115
        except OSError:
            time.sleep(seconds)
            raise
        return len(files)

    @command
    def take_time(self, seconds: float) -> float:
        """Sleep; returns how long it took."""
        began = time.monotonic()
        select.select([], [], [], seconds)
        return time.monotonic() - began

    @command
    def clock(self) -> dict[str, float]:
        """What the clocks say."""
        return {"time": time.time(), "monotonic": time.monotonic()}

    @command
    def give_back(self, text: str) -> str:
        """The text."""
        return text

    @command
    def raise_it(self, text: str) -> NoReturn:
        """Raise it."""
        raise ValueError(text)

    @command
    def wait_with(self, text: str) -> str:
        """Sleep for ever."""
        time.sleep(600)
        return text

    @command
    def die_with(self, text: str) -> NoReturn:
        """End the process at once."""
        os._exit(len(text) % 2 + 1)

    @command
    def remember(self, context: Context, text: str) -> int:
        """Keep it in the session's state."""
        if context.session is None:
            raise LookupError("this command needs a session")
        context.session.state["text"] = text
        return len(context.session.state)

    @command
    def environment(self) -> dict[str, Any]:
        """What this process sees."""
        return {"environ": dict(os.environ), "argv": sys.argv}


def _next(count: mmap.mmap) -> int:
    number: int = struct.unpack_from("i", count)[0]
    struct.pack_into("i", count, 0, number + 1)
    return number
