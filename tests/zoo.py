"""An adapter whose commands get stuck in every way that is known."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from pythonpool.adapter import Adapter, command

_DETACHED = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


def _wait_for(path: str) -> int:
    while not Path(path).exists() or not Path(path).read_text():
        time.sleep(0.002)
    return int(Path(path).read_text())


class Zoo(Adapter):
    """Harmless commands, and those that only SIGKILL ends."""

    def start(self) -> None:
        """Say that it was here."""
        print("template starts")

    @command
    def echo(self, **args: Any) -> Any:
        """Give the args back."""
        return args

    @command
    def pids(self) -> dict[str, int]:
        """Who this is."""
        return {"pid": os.getpid(), "ppid": os.getppid(), "group": os.getpgid(0)}

    @command
    def spin(self) -> None:
        """A loop in Python."""
        print("stuck")
        while True:
            pass

    @command
    def swallow(self) -> None:
        """Catch everything and ignore every signal that can be ignored."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        print("stuck")
        while True:
            try:
                time.sleep(600)
            except BaseException:
                continue

    @command
    def regex(self) -> None:
        """Hold the GIL in C code."""
        print("stuck")
        re.match(r"(a+)+$", "a" * 60 + "b")

    @command
    def stop_itself(self) -> None:
        """SIGSTOP."""
        os.kill(os.getpid(), signal.SIGSTOP)

    @command
    def vfork(self) -> None:
        """Uninterruptible: wait for a vfork child that never execs."""
        print("stuck")
        if ctypes.CDLL(None).vfork() == 0:
            while True:
                time.sleep(600)

    @command
    def plain_child(self, path: str) -> None:
        """Wait for a child for ever."""
        subprocess.run([sys.executable, "-c", _DETACHED, path])

    @command
    def session_child(self, path: str) -> None:
        """A child in a session of its own, and wait."""
        subprocess.run([sys.executable, "-c", _DETACHED, path], start_new_session=True)

    @command
    def daemon(self, path: str) -> None:
        """A daemon: forked twice, own session, ignoring SIGTERM; and wait."""
        self._make_daemon(path)
        time.sleep(600)

    @command
    def leave_daemon(self, path: str) -> int:
        """The same, but come back."""
        self._make_daemon(path)
        return _wait_for(path)

    @command
    def run_away(self, path: str, chains: int, seconds: float = 10.0) -> None:
        """Chains of processes, each in a session of its own, that fork and leave at once.

        A chain that lives till the end of its time says so in the file.
        """
        end = time.monotonic() + seconds
        for _ in range(chains):
            if os.fork() == 0:
                while time.monotonic() < end:
                    if os.fork():
                        os._exit(0)
                    os.setsid()
                Path(path).touch()
                os._exit(0)
        print("stuck")
        time.sleep(600)

    @command
    def kill_all(self) -> None:
        """SIGKILL to every process that it may kill; never where that hits others."""
        if os.getppid() == 1:
            os.kill(-1, signal.SIGKILL)

    @command
    def terminate(self, pid: int) -> None:
        """SIGTERM."""
        os.kill(pid, signal.SIGTERM)

    @command
    def wait_alone(self, seconds: float) -> bool:
        """Whether, after that time, the namespace holds this process and its elders alone."""
        time.sleep(seconds)
        return sum(name.isdigit() for name in os.listdir("/proc")) == 3

    @command
    def exit(self, status: int) -> None:
        """End the process at once."""
        os._exit(status)

    @command
    def say(self, text: str, times: int = 1) -> None:
        """Print."""
        for _ in range(times):
            print(text)

    @command
    def say_and_die(self, lines: int) -> None:
        """Print, and end the process at once."""
        for number in range(lines):
            print(f"line {number}")
        os._exit(3)

    @command
    def flood(self, megabytes: int) -> None:
        """Print a lot."""
        chunk = ("x" * 99 + "\n") * 10_000
        for _ in range(megabytes):
            sys.stdout.write(chunk)
        sys.stdout.flush()

    @command
    def eat(self, megabytes: int, step: int = 8) -> int:
        """Take memory, step by step, and keep it until the call's end."""
        kept = []
        for _ in range(0, megabytes, step):
            kept.append(b"\xff" * (step << 20))
            time.sleep(0.001)
        return len(kept)

    @command
    def keep(self, megabytes: int) -> None:
        """Take memory for good."""
        self.kept = b"\xff" * (megabytes << 20)

    @command
    def meet_the_limit(self) -> str:
        """Take more than there is."""
        try:
            return str(len(b"\xff" * (1 << 30)))
        except MemoryError as error:
            return type(error).__name__

    @command
    def eat_in_children(self, megabytes: int, children: int) -> None:
        """Each child takes its own."""
        for _ in range(children):
            if os.fork() == 0:
                kept = b"\xff" * (megabytes << 20)
                time.sleep(600)
                os._exit(len(kept) & 1)
            time.sleep(0.02)
        time.sleep(600)

    @command
    def share_with_children(self, megabytes: int, children: int) -> int:
        """Each child has what this process has, for half a second."""
        kept = b"\xff" * (megabytes << 20)
        for _ in range(children):
            if os.fork() == 0:
                time.sleep(0.5)
                os._exit(len(kept) & 1)
        return [os.wait()[1] for _ in range(children)].count(0)

    @command
    def environment(self) -> dict[str, Any]:
        """What the set-up of an executor has done."""
        import resource

        return {
            "environ": dict(os.environ),
            "stdin": os.readlink("/proc/self/fd/0"),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "data": resource.getrlimit(resource.RLIMIT_DATA),
            "nice": os.nice(0),
            "oom": int(Path("/proc/self/oom_score_adj").read_text()),
            "descriptors": [os.readlink(f"/proc/self/fd/{n}") for n in _descriptors()],
        }

    def _make_daemon(self, path: str) -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                Path(path).write_text(str(os.getpid()))
                time.sleep(600)
            os._exit(0)


def _descriptors() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        found.append(int(name))
    return found


class Spawned(Zoo):
    """Its executors are spawned."""

    fork: ClassVar[bool] = False


class Threads(Zoo):
    """Leaves a thread behind start()."""

    def start(self) -> None:
        """Start a thread."""
        import threading

        threading.Thread(target=time.sleep, args=(600,), name="poller", daemon=True).start()


class Sockets(Zoo):
    """Leaves a socket behind start()."""

    def start(self) -> None:
        """Open a socket."""
        import socket

        self.pair = socket.socketpair()


class BadStart(Zoo):
    """Its start() raises."""

    def start(self) -> None:
        """Raise."""
        print("about to fail")
        raise LookupError("no price list")


class BadOpen(Zoo):
    """Its open() raises."""

    def open(self) -> None:
        """Raise."""
        print("opening")
        raise ConnectionRefusedError("the database says no")


class Hangs(Zoo):
    """Forked executors hang in open(), spawned ones do not."""

    def start(self) -> None:
        """Remember who started."""
        self.started_in = os.getpid()

    def open(self) -> None:
        """Hang in a fork, as libraries with threads of their own do."""
        if self.started_in != os.getpid():
            time.sleep(600)


class Helper(Zoo):
    """start() leaves a helper process that commands need."""

    def start(self) -> None:
        """Start it."""
        self.helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    @command
    def helper_pid(self) -> int:
        """The helper's pid."""
        return self.helper.pid


class Numbers(Zoo):
    """Uses numpy's global generator."""

    def start(self) -> None:
        """Import it."""
        import numpy as np

        np.random.seed(1)

    @command
    def draw(self) -> float:
        """One number."""
        import numpy as np

        return float(np.random.random())


class SpawnedBadOpen(BadOpen):
    """The same, spawned."""

    fork: ClassVar[bool] = False


class Sleeps(Zoo):
    """Its start() never comes back."""

    def start(self) -> None:
        """Sleep."""
        time.sleep(600)


class Wordy(Zoo):
    """Has much to say about a command."""

    @command
    def long(self) -> None:
        """Do nothing."""

    long.__doc__ = "word " * 20_000
