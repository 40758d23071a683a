"""The same echo through Ray Serve, LitServe and FastAPI, each with two processes that run calls."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Row, paired, spread
from bench.local import answers, up
from bench.manifests import execute, manifest
from bench.processes import born, child, cpu_seconds, free_port, private_bytes, tree, wait_until
from bench.programs import HERE, OUT, Load, request_file, run_load
from bench.registry import Effort
from bench.rows.bodies import MIB
from bench.rows.small import SMALL
from bench.turns import take_turns

_APPS = HERE / "peers" / "python"
_VENV = OUT / "peers"
_PACKAGES = ("ray[serve]", "litserve", "fastapi", "uvicorn[standard]")
_ECHO = execute("echo")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server.

    Attributes:
        said: its settings, for the table.
    """

    app: str
    path: str
    said: str
    arguments: tuple[str, ...] = ()


PEERS = {
    "ray": Peer("ray_echo.py", "/echo", "Ray Serve, 2 replicas, throughput settings"),
    "litserve": Peer("litserve_echo.py", "/echo", "LitServe, 2 workers, fast queue"),
    "fastapi": Peer("fastapi_echo.py", "/echo", "FastAPI in 2 uvicorn workers", ("2",)),
    "pooled": Peer("fastapi_echo.py", "/pooled", "FastAPI, 1 uvicorn, pool of 2 processes", ("1",)),
}


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs, and the request that it is asked."""

    pid: int
    target: str
    request: Path

    def once(self, connections: int, seconds: float) -> tuple[Load, float]:
        """What callers saw, and CPU microseconds a call of all its processes."""
        before = self.cpu_seconds()
        load = run_load(self.target, connections, seconds, self.request)
        return load, (self.cpu_seconds() - before) / load.all_calls * 1e6

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return cpu_seconds(tree(self.pid))


def measure(folder: Path, effort: Effort) -> list[Row]:
    """All of them run at once and take turns; 1, 16 and 64 connections."""
    _install()
    rows: list[Row] = []
    seconds = max(effort.seconds, 1.0)
    with ExitStack() as stack:
        servers = {"pythonpool": stack.enter_context(_pythonpool(folder))}
        for name, peer in PEERS.items():
            servers[name] = stack.enter_context(_peer(folder, name, peer))
        for server in servers.values():
            server.once(16, 1.0)
        for connections in (1, 16, 64):
            found = take_turns(
                tuple(servers),
                effort.rounds,
                effort.chance,
                lambda name, n=connections: servers[name].once(n, seconds),  # type: ignore[misc]
            )
            rows += _rows(connections, found)
        rows += [
            Row(f"peers.{name}.memory", f"private memory of all processes, MiB, {name}",
                spread([sum(map(private_bytes, tree(server.pid))) / MIB]), 0)
            for name, server in servers.items()
        ]  # fmt: skip
    return rows


def versions() -> dict[str, str]:
    """Of the packages in their own environment; empty before it is made."""
    if not (_VENV / "bin" / "python").exists():
        return {}
    code = (
        "import json; from importlib.metadata import version;"
        "print(json.dumps({n: version(n) for n in ('ray', 'litserve', 'fastapi', 'uvicorn')}))"
    )
    said = subprocess.run(
        [_VENV / "bin" / "python", "-c", code], capture_output=True, text=True, check=False
    )
    found: dict[str, str] = json.loads(said.stdout) if not said.returncode else {}
    return found


def _rows(connections: int, found: dict[str, list[tuple[Load, float]]]) -> list[Row]:
    ours = found["pythonpool"]
    at = f"{connections} connection{'s' if connections > 1 else ''}"
    rows = []
    for name, peer in PEERS.items():
        theirs, key = found[name], f"peers.{name}.{connections}"
        rows += [
            Row(f"{key}.p50", f"p50 against {peer.said}, {at}",
                paired([load.p50_us for load, _ in ours], [load.p50_us for load, _ in theirs]), 3),
            Row(f"{key}.cpu", f"CPU a call against {peer.said}, {at}",
                paired([cpu for _, cpu in ours], [cpu for _, cpu in theirs]), 3),
            Row(f"{key}.rate", f"calls per second against {peer.said}, {at}",
                paired([load.rate for load, _ in ours], [load.rate for load, _ in theirs]), 1),
        ]  # fmt: skip
    for name, measured in found.items():
        rate = spread(load.rate for load, _ in measured)
        p50, p99 = (
            spread(getattr(load, field) / 1e3 for load, _ in measured).median
            for field in ("p50_us", "p99_us")
        )
        cpu = spread(cpu for _, cpu in measured).median
        note = f"p50 {p50:.2f} ms · p99 {p99:.1f} ms · CPU {cpu:,.0f} µs a call"
        row = Row(f"peers.{name}.{connections}", f"calls per second, {name}, {at}", rate, 0, note)
        rows.append(row)
    return rows


def _install() -> None:
    """An environment of their own: they bring a hundred packages."""
    if versions():
        return
    print(f"bench: installing {', '.join(_PACKAGES)}", file=sys.stderr, flush=True)
    uv = Path(sys.executable).with_name("uv")
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    for command in (
        ["venv", "-q", "--clear", "--python", sys.executable, str(_VENV)],
        ["pip", "install", "-q", "--python", str(_VENV / "bin" / "python"), *_PACKAGES],
    ):
        subprocess.run([uv, *command], check=True, env=environment)


@contextmanager
def _pythonpool(folder: Path) -> Iterator[Server]:
    at = folder / "pythonpool"
    with up(at, manifest(at, "  replicas: 1\n  concurrency: 2\n"), _ECHO) as home:
        request = request_file(folder, "call", _ECHO, SMALL, home.token)
        yield Server(home.process.pid, home.target, request)


@contextmanager
def _peer(folder: Path, name: str, peer: Peer) -> Iterator[Server]:
    port = free_port()
    environment = {
        **os.environ, "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # it would write a token into the home of whoever runs this
    }  # fmt: skip
    request = request_file(folder, name, peer.path, SMALL, "none")
    arguments = peer.arguments or (str(folder / "files"),)
    command = [str(_VENV / "bin" / "python"), peer.app, str(port), *arguments]
    log = folder / f"{name}.log"
    with (
        log.open("wb") as said,
        child(command, cwd=_APPS, env=environment, stdout=said, stderr=said) as process,
    ):
        # What a server starts may outlive it, and be nobody's child then.
        family: dict[int, str] = {}

        def is_up() -> bool:
            family.update({pid: born(pid) for pid in tree(process.pid)})
            return answers(port, peer.path, SMALL)

        try:
            wait_until(is_up, 120, name)
            yield Server(process.pid, f"tcp:127.0.0.1:{port}", request)
        except TimeoutError as error:
            raise RuntimeError(log.read_text()[-4000:]) from error
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            for pid, since in family.items():
                if since and born(pid) == since:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
