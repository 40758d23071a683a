"""Small calls: CPU a call of the router beside nginx and haproxy, with few and many connections."""

from pathlib import Path

from bench.contenders import contenders, cpu_and_load, only_cpu
from bench.figures import Row, paired, spread
from bench.programs import request_file
from bench.registry import Effort
from bench.routers import ECHO, TOKEN, Contender
from bench.turns import take_turns

SMALL = b'{"values": [1, 2, 3], "text": "a hundred bytes of JSON, as a small call has them"}'
PEERS = ("nginx", "nginx-tcp", "haproxy")


def small_request(folder: Path) -> Path:
    """The call of 100 bytes that all rows of the router have in common."""
    return request_file(folder, "small", ECHO, SMALL, TOKEN)


def measure(folder: Path, effort: Effort) -> list[Row]:
    """1, 32 and 1,000 connections, over TCP and a Unix socket."""
    rows: list[Row] = []
    few: list[float] = []
    points = [("tcp", 1), ("tcp", 32), ("tcp", 1000), ("unix", 32)]
    if not effort.is_quick:
        points += [("unix", 1), ("unix", 1000)]
    with contenders(folder) as found:
        request = small_request(folder)
        for transport, connections in points:
            cpu = _cpu(found, transport, connections, request, effort)
            rows += _rows(cpu, transport, connections)
            if (transport, connections) == ("tcp", 32):
                few = cpu["router"]
            if (transport, connections) == ("tcp", 1000):
                what = "router CPU with 1,000 connections against 32, tcp"
                rows.append(Row("small.tcp.1000.growth", what, paired(cpu["router"], few)))
    return rows


def _cpu(
    found: dict[str, Contender], transport: str, connections: int, request: Path, effort: Effort
) -> dict[str, list[float]]:
    names = ["router", *(name for name in PEERS if name != "nginx-tcp" or transport == "tcp")]
    return only_cpu(
        take_turns(
            names,
            effort.rounds,
            effort.chance,
            lambda name: cpu_and_load(found[name], transport, connections, effort.seconds, request),
        )
    )


def _rows(cpu: dict[str, list[float]], transport: str, connections: int) -> list[Row]:
    at = f"{connections:,} connection{'s' if connections > 1 else ''}, {transport}"
    key = f"small.{transport}.{connections}"
    rows = [
        Row(f"{key}.nginx", f"router CPU against nginx, {at}", paired(cpu["router"], cpu["nginx"])),
        Row(f"{key}.haproxy-calls", f"calls a core against haproxy, {at}",
            paired(cpu["haproxy"], cpu["router"])),
        Row(f"{key}.core", f"calls a second that one core bears, router alone on it, {at}",
            spread(1e6 / used for used in cpu["router"]), 0),
    ]  # fmt: skip
    if "nginx-tcp" in cpu:
        ratio = paired(cpu["router"], cpu["nginx-tcp"])
        what = f"router CPU against nginx with its upstream on TCP, {at}"
        rows.append(Row(f"{key}.nginx-tcp", what, ratio))
    rows += [
        Row(f"{key}.cpu.{name}", f"CPU of {name}, µs a call, {at}", spread(values), digits=1)
        for name, values in cpu.items()
    ]
    return rows
