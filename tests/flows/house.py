"""A running `pythonpool up` for flows: started on given manifests, asked by clients, ended.

`home` and `house` in conftest.py hand it out; tests that need more options call `open_house`.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythonpool.client import Client

END_SECONDS = 25.0


def pythonpool_command(*arguments: str) -> list[str]:
    """The command line of the program under test."""
    return [sys.executable, "-P", "-m", "pythonpool_cli", *arguments]


def environment(home: Path) -> dict[str, str]:
    """What `pythonpool` is started with: this process's environment, and the home."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHONPOOL_")}
    return {**own, "PYTHONPOOL_HOME": str(home)}


def pythonpool(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        pythonpool_command(*arguments),
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=40)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(slots=True)
class House:
    """One `up` that is ready.

    Attributes:
        home: its PYTHONPOOL_HOME.
        process: the `up` itself.
        url: where it listens.
        content: the object that it printed when it was ready.
    """

    home: Path
    process: subprocess.Popen[str]
    url: str
    content: dict[str, Any]

    @property
    def token(self) -> str:
        """What callers show."""
        return (self.home / "token").read_text().strip()

    @property
    def said(self) -> str:
        """What `up` has written to stderr until now."""
        return (self.home / "said").read_text()

    def client(self) -> Client:
        """A client of this house, with its token."""
        return Client(self.url, token=self.token)

    def router_connection(self, index: int) -> http.client.HTTPConnection:
        """A connection to one of several routers, on its own socket."""
        return _SocketConnection(self.content["routers"][index]["socket"])

    def record(self, name: str) -> dict[str, Any]:
        """`run/NAME` as it is now: pools.json, up.json or processes.json."""
        content: dict[str, Any] = json.loads((self.home / "run" / name).read_text())
        return content

    def workers(self, pool: str) -> list[dict[str, Any]]:
        """The workers of a pool, as pools.json lists them."""
        pools = {entry["name"]: entry for entry in self.record("pools.json")["pools"]}
        workers: list[dict[str, Any]] = pools[pool]["workers"]
        return workers

    def read_again(self) -> None:
        """Have `up` read its files again."""
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> int:
        """Ctrl-C, and what `up` ends with."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired as error:
            error.add_note(
                f"it still has {standing(self.process.pid)}; it said: {self.said[-1000:]}"
            )
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode


def standing(root: int) -> str:
    """A process and all below it: pid, module, state, and where in the kernel each waits."""
    shown = []
    for pid in sorted({root, *processes_below(root)}):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            where = Path(f"/proc/{pid}/wchan").read_text()
        except OSError:
            continue
        shown.append(f"{pid} {' '.join(words[3:4])} {state} {where}")
    return "; ".join(shown)


def processes_below(pid: int) -> list[int]:
    """All descendants of a process."""
    below: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                below += [int(entry), *processes_below(int(entry))]
    return below


def open_house(
    home: Path,
    files: Sequence[str | Path],
    *options: str,
    program: Sequence[str] | None = None,
    birth: Callable[[], None] | None = None,
    **variables: str,
) -> House:
    """Start `up` on a free port and wait until it is ready.

    Args:
        home: its PYTHONPOOL_HOME.
        files: the manifests.
        options: further ones of `up`.
        program: in place of `python -m pythonpool_cli`.
        birth: called in the new process before it becomes `up`.
        variables: added to its environment.

    Raises:
        AssertionError: it ended instead; with what it said.
    """
    said = home / "said"
    words = ["up", *map(str, files), "--port", "0", "-o", "json", *options]
    with said.open("w") as errors:
        process = subprocess.Popen(
            [*(program or pythonpool_command()), *words],
            env={**environment(home), **variables},
            preexec_fn=birth,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.communicate(timeout=END_SECONDS)
        raise AssertionError(f"up ended with {process.returncode}: {said.read_text()}")
    content: dict[str, Any] = json.loads(line)
    return House(home, process, content["url"], content)


def manifest(name: str, spec: str) -> str:
    """A PythonPool as YAML; `spec` is its indented or unindented body."""
    body = textwrap.indent(textwrap.dedent(spec).strip(), "  ")
    return (
        "---\napiVersion: pythonpool.dev/v1alpha1\nkind: PythonPool\n"
        f"metadata: {{name: {name}}}\nspec:\n{body}\n"
    )


def wait_for(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `holds()` is true; for what happens outside, where no event can be had."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
