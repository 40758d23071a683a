"""Routers that workers in C dial, and a bare one, which only forwards."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import child, cpu_seconds, tree, wait_until
from bench.programs import NATIVE

TOKEN = "0123456789abcdef0123456789abcdef"
SECRET = "fedcba9876543210fedcba9876543210"
POOL = "bench"
SLOTS = 128
_MOST_LINKS = 1000  # routers take about as many links as a pool has workers
PROXY_CORE, LOAD_CORE = "0", "1"


def echo_path(pool: str = POOL) -> str:
    """Where a pool's echo is."""
    return f"/v1/pools/{pool}/execute/echo"


ECHO = echo_path()


@dataclass(frozen=True, slots=True)
class Contender:
    """One proxy that runs.

    Attributes:
        targets: where it is asked, by transport: `tcp`, `unix`.
        pid: its first process.
    """

    name: str
    targets: dict[str, str]
    pid: int

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self.targets["tcp"].rpartition(":")[2])

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return cpu_seconds(tree(self.pid))


@contextmanager
def router(
    folder: Path, links: int = 1, slots: int = SLOTS, pools: Sequence[str] = (POOL,)
) -> Iterator[Contender]:
    """The router with one worker in C in each of `pools`, or `links` of them."""
    folder = Path(tempfile.mkdtemp(prefix="router-", dir=folder))
    (folder / "pools.json").write_text(
        json.dumps({"pools": [_pool(name, slots) for name in pools]})
    )
    (folder / "token").write_text(TOKEN)
    command = [
        "pythonpool_router", "--pools", str(folder / "pools.json"),
        "--token-file", str(folder / "token"), "--grace", "0.1",
    ]  # fmt: skip
    with _started("router", folder, command) as contender, ExitStack() as stack:
        for name in pools:
            stack.enter_context(workers(folder / "link", name, slots, links))
        yield contender


@contextmanager
def bare(folder: Path) -> Iterator[Contender]:
    """bench/bare.py with one worker in C: HTTP and frames, and nothing between them."""
    folder = Path(tempfile.mkdtemp(prefix="bare-", dir=folder))
    with (
        _started("bare", folder, ["bench.bare"]) as contender,
        workers(folder / "link", POOL, SLOTS, 1),
    ):
        yield contender


@contextmanager
def workers(link: Path, pool: str, slots: int, links: int) -> Iterator[None]:
    """One process in C that is `links` workers of a pool; all have dialled."""
    command = [str(NATIVE / "worker"), str(link), pool, SECRET, pool, str(slots), str(links)]
    with child(command, LOAD_CORE, stdout=subprocess.PIPE) as dialling:
        assert dialling.stdout is not None
        if not dialling.stdout.readline():
            raise RuntimeError("the worker could not dial")
        yield


@contextmanager
def _started(name: str, folder: Path, module: list[str]) -> Iterator[Contender]:
    link, unix = folder / "link", folder / "callers"
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        os.set_inheritable(listener.fileno(), True)
        command = [
            sys.executable, "-m", *module, "--link", f"unix:{link}",
            "--listen-fd", str(listener.fileno()), "--unix", str(unix),
        ]  # fmt: skip
        log = folder / "log"
        with (
            log.open("wb") as said,
            child(command, PROXY_CORE, close_fds=False, stdout=said, stderr=said) as process,
        ):
            try:
                wait_until(lambda: link.exists() and unix.exists(), 30, f"{name} starts")
            except TimeoutError as error:
                raise RuntimeError(log.read_text()) from error
            targets = {"tcp": f"tcp:127.0.0.1:{listener.getsockname()[1]}", "unix": f"unix:{unix}"}
            yield Contender(name, targets, process.pid)


def _pool(name: str, slots: int) -> dict[str, Any]:
    """What the supervisor would hand out of a pool, as far as a router reads it."""
    spec = {
        "adapter": "general", "replicas": _MOST_LINKS, "concurrency": slots,
        "timeoutSeconds": 30, "maxTimeoutSeconds": 3600,
        "healthCheck": {"periodSeconds": 600, "failureThreshold": 3, "startupSeconds": 120},
        "queue": {"maxLength": 2000, "timeoutSeconds": 10},
        "sessions": {"ttlSeconds": 3600, "maxTtlSeconds": 86400, "maxPerWorker": 16},
        "operations": [],
    }  # fmt: skip
    return {
        "name": name, "generation": 1, "spec": spec, "secret": SECRET, "settled": True,
        "reason": None, "cause": None, "workers": [],
    }  # fmt: skip
