"""A `pythonpool up` for the benchmark: started on a manifest, asked over HTTP, ended."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import command_line, cpu_seconds, free_port, tree

_ROLES = ("router", "agent", "keeper", "template")
_READY_SECONDS = 90.0


@dataclass(slots=True)
class Home:
    """One `up`; `port` is where it listens."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int
    began: float

    @property
    def token(self) -> str:
        """What callers show."""
        return (self.folder / "home" / "token").read_text().strip()

    @property
    def target(self) -> str:
        """Where the load generator finds it."""
        return f"tcp:127.0.0.1:{self.port}"

    def router_target(self, index: int) -> str:
        """Where one of its routers is addressed alone."""
        return f"unix:{self.folder / 'home' / 'run' / f'router-{index}.sock'}"

    def caller(self) -> "Caller":
        """A connection of its own."""
        return Caller(self.port, self.token)

    def processes(self) -> dict[str, list[int]]:
        """Its processes by role: `router`, `agent`, `keeper`, `template` (executors too), `up`."""
        found: dict[str, list[int]] = {role: [] for role in (*_ROLES, "up")}
        for pid in tree(self.process.pid):
            line = command_line(pid)
            role = next((role for role in _ROLES if f"pythonpool_{_module(role)}" in line), "up")
            found[role].append(pid)
        return found

    def cpu_by_role(self) -> dict[str, float]:
        """CPU seconds so far."""
        return {role: cpu_seconds(pids) for role, pids in self.processes().items()}

    def executors(self) -> list[int]:
        """The executors, standby included, without the template (the eldest)."""
        return sorted(self.processes()["template"])[1:]


def _module(role: str) -> str:
    return "router" if role == "router" else f"worker.{role}"


class Caller:
    """One HTTP connection, kept alive."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, args: object = None) -> tuple[int, Any]:
        """Status and JSON body."""
        body = None if args is None else json.dumps(args)
        self._connection.request(method, path, body, self._fields)
        answer = self._connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None

    def text(self, path: str) -> str:
        """What a GET that must succeed brings."""
        self._connection.request("GET", path, None, self._fields)
        answer = self._connection.getresponse()
        data = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data}")
        return data

    def call(self, path: str, args: object = None) -> Any:
        """The result of a call that must succeed."""
        status, value = self.ask("POST", path, args or {})
        if status >= 300:
            raise RuntimeError(f"{path}: {status} {value}")
        return value


def answers(port: int, path: str, body: bytes) -> bool:
    """Whether a POST is answered 200 there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def up(
    folder: Path, manifest: Path, answers: str, args: object = None, routers: int = 1
) -> Iterator[Home]:
    """A running `up` whose path `answers` has been answered once."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHONPOOL_")}
    environment["PYTHONPOOL_HOME"] = str(folder / "home")
    log = (folder / "up.log").open("wb")
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pythonpool_cli", "up", "--port", str(port),
         "--routers", str(routers), str(manifest)],
        env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    home = Home(folder, process, port, began)
    try:
        _first_answer(home, answers, args)
        yield home
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
        process.wait()
        log.close()


def _first_answer(home: Home, path: str, args: object) -> None:
    ends = home.began + _READY_SECONDS
    while True:
        if home.process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError((home.folder / "up.log").read_text())
        with suppress(OSError, http.client.HTTPException, RuntimeError):
            home.caller().call(path, args)
            return
        time.sleep(0.005)
