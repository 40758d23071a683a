"""The proxies that are compared, each with a worker in C behind it, on sockets of their own."""

import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.processes import child, free_port, tree, wait_until
from bench.programs import HERE, NATIVE, Load, run_load
from bench.routers import LOAD_CORE, PROXY_CORE, Contender, bare, router


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
        found["bare"] = stack.enter_context(bare(folder))
        yield found


def cpu_and_load(
    contender: Contender, transport: str, connections: int, seconds: float, request: Path,
    rate: float = 0,
) -> tuple[float, Load]:  # fmt: skip
    """CPU microseconds a call of the contender, and what its callers saw."""
    target, pids = contender.targets[transport], tree(contender.pid)
    load = run_load(target, connections, seconds, request, rate, LOAD_CORE, pids=pids)
    return load.cpu_us, load


def only_cpu(measured: Mapping[str, list[tuple[float, Load]]]) -> dict[str, list[float]]:
    """The CPU of each contender, a value a round."""
    return {name: [cpu for cpu, _ in values] for name, values in measured.items()}


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
