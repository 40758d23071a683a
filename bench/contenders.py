"""The proxies that are compared, each with a worker in C behind it, on sockets of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import cpu_seconds, tree, wait_until
from bench.programs import HERE, NATIVE

TOKEN = "0123456789abcdef0123456789abcdef"
SECRET = "fedcba9876543210fedcba9876543210"
POOL = "bench"
SLOTS = 128
PROXY_CORE, LOAD_CORE = "0", "1"
ECHO = f"/v1/pools/{POOL}/execute/echo"


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

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return cpu_seconds(tree(self.pid))


@contextmanager
def child(command: list[str], core: str = "", **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended when the block is left."""
    if core:
        command = ["taskset", "-c", core, *command]
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.wait()


@contextmanager
def contenders(folder: Path) -> Iterator[dict[str, Contender]]:
    """All of them at once: idle ones cost nothing, so that rounds can take turns."""
    with ExitStack() as stack:
        upstream = folder / "up.sock"
        echo = f"tcp:{free_port()}"
        stack.enter_context(child([str(NATIVE / "upstream"), f"unix:{upstream}", echo], LOAD_CORE))
        wait_until(upstream.exists, 5, "upstream")
        found = {"router": stack.enter_context(router(folder))}
        tcp_upstream = f"127.0.0.1:{echo[4:]}"
        for name, where in (("nginx", f"unix:{upstream}"), ("nginx-tcp", tcp_upstream)):
            found[name] = stack.enter_context(nginx(folder, name, where))
        found["haproxy"] = stack.enter_context(haproxy(folder, f"unix@{upstream}"))
        yield found


@contextmanager
def router(folder: Path, links: int = 1, slots: int = SLOTS) -> Iterator[Contender]:
    """The router with one worker in C, or `links` of them."""
    folder = folder / f"router-{links}"
    folder.mkdir()
    pools, token, link, unix = (
        folder / name for name in ("pools.json", "token", "link", "callers")
    )
    pools.write_text(json.dumps({"pools": [_pool(slots)]}))
    token.write_text(TOKEN)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        os.set_inheritable(listener.fileno(), True)
        command = [
            sys.executable, "-m", "pythonpool_router", "--pools", str(pools),
            "--link", f"unix:{link}", "--listen-fd", str(listener.fileno()),
            "--unix", str(unix), "--token-file", str(token), "--grace", "0.1",
        ]  # fmt: skip
        process = stack.enter_context(
            child(command, PROXY_CORE, close_fds=False, stderr=subprocess.DEVNULL)
        )
        wait_until(lambda: link.exists() and unix.exists(), 30, "the router")
        worker = [str(NATIVE / "worker"), str(link), POOL, SECRET, "bench", str(slots), str(links)]
        dialling = stack.enter_context(child(worker, LOAD_CORE, stdout=subprocess.PIPE))
        assert dialling.stdout is not None
        dialling.stdout.readline()
        targets = {"tcp": f"tcp:127.0.0.1:{listener.getsockname()[1]}", "unix": f"unix:{unix}"}
        yield Contender("router", targets, process.pid)


@contextmanager
def nginx(folder: Path, name: str, upstream: str) -> Iterator[Contender]:
    """nginx with bench/peers/nginx.conf."""
    yield from _peer(folder / name, "nginx.conf", "nginx.sock", upstream, lambda conf: [
        "nginx", "-e", str(folder / name / "nginx.log"), "-c", conf,
    ])  # fmt: skip


@contextmanager
def haproxy(folder: Path, upstream: str) -> Iterator[Contender]:
    """haproxy with bench/peers/haproxy.cfg."""
    yield from _peer(
        folder / "haproxy", "haproxy.cfg", "haproxy.sock", upstream,
        lambda conf: ["haproxy", "-db", "-q", "-f", conf],
    )  # fmt: skip


def _peer(
    folder: Path, conf: str, unix: str, upstream: str, command: Callable[[str], list[str]]
) -> Iterator[Contender]:
    folder.mkdir()
    folder.chmod(0o755)
    port = free_port()
    text = (HERE / "peers" / conf).read_text()
    for word, value in (("FOLDER", str(folder)), ("PORT", str(port)), ("UPSTREAM", upstream)):
        text = text.replace(f"@{word}@", value)
    (folder / conf).write_text(text)
    with child(command(str(folder / conf)), PROXY_CORE, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: (folder / unix).exists() and _listens(port), 10, folder.name)
        targets = {"tcp": f"tcp:127.0.0.1:{port}", "unix": f"unix:{folder / unix}"}
        yield Contender(folder.name, targets, process.pid)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pool(slots: int) -> dict[str, Any]:
    """What the supervisor would hand out of a pool, as far as a router reads it."""
    spec = {
        "adapter": "general", "replicas": 1, "concurrency": slots,
        "timeoutSeconds": 30, "maxTimeoutSeconds": 3600,
        "healthCheck": {"periodSeconds": 600, "failureThreshold": 3, "startupSeconds": 120},
        "queue": {"maxLength": 2000, "timeoutSeconds": 10},
        "sessions": {"ttlSeconds": 3600, "maxTtlSeconds": 86400, "maxPerWorker": 16},
        "operations": [],
    }  # fmt: skip
    return {
        "name": POOL, "generation": 1, "spec": spec, "secret": SECRET, "settled": True,
        "reason": None, "cause": None, "workers": [],
    }  # fmt: skip
