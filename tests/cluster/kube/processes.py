"""Background programs of a cluster: started with a mark in their environment, ended by it.

The mark needs no pid file, so that nothing started can be missed after a crash of the starter.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from cluster.kube.steps import Failed, environment

MARK = "PYTHONPOOL_CLUSTER_PART"
"""Environment variable of every program of a cluster: FOLDER:ROLE."""


class Ground:
    """Starts the programs of one cluster; logs go to `folder`/logs/ROLE.log.

    Args:
        folder: the run folder, which is also the mark of its processes.
        tied: whether the programs die with the thread that started them.
    """

    def __init__(self, folder: Path, tied: bool = False) -> None:
        self.folder = folder
        self._tied = tied
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, *command: str | Path, namespace: str | None = None) -> None:
        """Start `command` in the background as `role`, in a network namespace if one is named."""
        words = [str(word) for word in command]
        if namespace is not None:
            # Not `ip netns exec`: it mounts a new /sys and hides the cgroups.
            words = ["nsenter", f"--net=/run/netns/{namespace}", "--", *words]
        if self._tied:
            words = ["setpriv", "--pdeathsig", "KILL", "--", *words]
        log = self.log(role)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._started[role] = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(**{MARK: f"{self.folder}:{role}"}),
                cwd="/",
                start_new_session=True,
            )

    def log(self, role: str) -> Path:
        """The file that has the output of `role`."""
        return self.folder / "logs" / f"{role}.log"

    def wait(self, role: str, what: str, is_there: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until `is_there()`; `role` is the program that brings it.

        Raises:
            Failed: the program ended, or `seconds` have passed; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not is_there():
            process = self._started.get(role)
            if process is not None and process.poll() is not None:
                raise Failed(f"{role} ended with {process.returncode}: {self._last(role)}")
            if time.monotonic() > deadline:
                raise Failed(f"{what} not there after {seconds:.0f} s: {self._last(role)}")
            time.sleep(0.05)

    def stop(self, *roles: str) -> None:
        """Kill these programs, all without names, and wait for their end."""
        ended = [self._started.pop(role) for role in roles or tuple(self._started)]
        kill(process.pid for process in ended)
        for process in ended:
            process.wait()

    def _last(self, role: str) -> str:
        log = self.log(role)
        if not log.exists():
            return "no log"
        return f"end of {log}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])


def marked(folder: Path) -> dict[int, str]:
    """The running processes that carry the mark of `folder`: pid to role."""
    begin = f"{MARK}={folder}:"
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            role = _role(entry, begin)
            if role is not None:
                found[int(entry.name)] = role
    return found


def family(pids: Iterable[int]) -> set[int]:
    """These processes and all their descendants, whatever environment those have."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting.extend(children.get(pid, ()))
    return found


def _role(process: Path, begin: str) -> str | None:
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    for variable in variables:
        text = variable.decode(errors="replace")
        if text.startswith(begin):
            return text.removeprefix(begin)
    return None


def kill(pids: Iterable[int], seconds: float = 10) -> None:
    """SIGKILL these processes and wait until they are gone, at most `seconds`."""
    watched = []
    for pid in pids:
        try:
            watched.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + seconds
    for descriptor in watched:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(descriptor)
