"""The router beside nginx and haproxy: CPU a call, system calls a call, big bodies, memory."""

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.contenders import ECHO, LOAD_CORE, TOKEN, Contender, contenders, router
from bench.figures import Row, Spread, paired
from bench.processes import SystemCalls, forget_peak, peak_bytes, rss_bytes, wait_until
from bench.programs import Load, request_file, run_load

SMALL = b'{"values": [1, 2, 3], "text": "a hundred bytes of JSON, as a small call has them"}'
_GROUP = "Router, agent in C, against proxies with the same bytes"
_MIB = 1_048_576


def measure(
    folder: Path, rounds: int, seconds: float, points: Iterable[tuple[str, int]]
) -> list[Row]:
    """All of it; `points` are the transports and connections for small calls."""
    rows: list[Row] = []
    with contenders(folder) as found:
        small = request_file(folder, "small", ECHO, SMALL, TOKEN)
        for transport, connections in points:
            names = [n for n in found if n != "nginx-tcp" or transport == "tcp"]
            cpu = _rounds(found, names, transport, connections, small, rounds, seconds)
            rows += _small_rows(cpu, transport, connections)
        rows += _system_calls(found, small)
        for name, size, budget in (("100 kB", 100_000, 0.7), ("10 MB", 10_000_000, 0.8)):
            body = b'"' + b"x" * (size - 2) + b'"'
            file = request_file(folder, name.replace(" ", "-"), ECHO, body, TOKEN)
            # More than one of 10 MB at a time is a matter of the buffers of the kernel.
            cpu = _rounds(found, ["router", "nginx", "haproxy"], "tcp", 4, file, rounds, seconds)
            rows += _body_rows(cpu, name, budget)
        rows.append(
            Row(_GROUP, "memory of the router after all that, MiB",
                Spread((rss_bytes(found["router"].pid) / _MIB,)), digits=0)
        )  # fmt: skip
        big = folder / "10-MB"
    (folder / "fresh").mkdir()
    with router(folder / "fresh") as fresh:
        rows.append(_memory_in_flight(fresh, small, big))
    rows += _links(folder)
    return rows


def _rounds(
    found: Mapping[str, Contender], names: list[str], transport: str, connections: int,
    request: Path, rounds: int, seconds: float,
) -> dict[str, list[float]]:  # fmt: skip
    """CPU microseconds a call of each contender, a value a round; random order in each round."""
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in random.sample(names, len(names)):
            spent, _load = _cpu_per_call(found[name], transport, connections, request, seconds)
            cpu[name].append(spent)
    return cpu


def _cpu_per_call(
    contender: Contender, transport: str, connections: int, request: Path, seconds: float,
    rate: float = 0,
) -> tuple[float, Load]:  # fmt: skip
    before = contender.cpu_seconds()
    load = run_load(contender.targets[transport], connections, seconds, request, rate, LOAD_CORE)
    return (contender.cpu_seconds() - before) / load.all_calls * 1e6, load


def _small_rows(cpu: dict[str, list[float]], transport: str, connections: int) -> list[Row]:
    at = f"{connections} connection{'s' if connections > 1 else ''}, {transport}"
    final = {("tcp", 1): 1.15, ("tcp", 32): 1.0, ("unix", 32): 0.85}
    rows = [
        Row(_GROUP, f"router CPU against nginx, {at}", paired(cpu["router"], cpu["nginx"]),
            final.get((transport, connections))),
        Row(_GROUP, f"router CPU against haproxy, {at}", paired(cpu["router"], cpu["haproxy"])),
    ]  # fmt: skip
    if "nginx-tcp" in cpu:
        ratio = paired(cpu["router"], cpu["nginx-tcp"])
        rows.append(Row(_GROUP, f"the same, nginx with its upstream on TCP, {at}", ratio))
    for name, values in cpu.items():
        rows.append(Row(_GROUP, f"CPU of {name}, µs a call, {at}", Spread(tuple(values)), digits=1))
    return rows


def _system_calls(found: Mapping[str, Contender], request: Path) -> list[Row]:
    rows = []
    for name in ("router", "nginx", "haproxy"):
        contender = found[name]
        pids = [contender.pid]
        if name == "nginx":
            children = Path(f"/proc/{contender.pid}/task/{contender.pid}/children")
            pids = [int(pid) for pid in children.read_text().split()]
        with SystemCalls(pids) as counted:
            load = run_load(contender.targets["tcp"], 8, 1.0, request, core=LOAD_CORE)
        spread = Spread((counted.total / load.all_calls,))
        budget = 3.2 if name == "router" else None
        each = {key: round(n / load.all_calls, 3) for key, n in counted.by_name.items()}
        what = f"system calls of {name} a call, 8 connections, tcp"
        rows.append(Row(_GROUP, what, spread, budget, details={"each": each}))
    return rows


def _body_rows(cpu: dict[str, list[float]], name: str, budget: float) -> list[Row]:
    at = f"{name} echo, 4 connections, tcp"
    return [
        Row(_GROUP, f"router CPU against nginx, {at}", paired(cpu["router"], cpu["nginx"]), budget),
        Row(_GROUP, f"router CPU against haproxy, {at}", paired(cpu["router"], cpu["haproxy"])),
        *(Row(_GROUP, f"CPU of {who}, ms a call, {at}", Spread(tuple(v / 1e3 for v in values)))
          for who, values in cpu.items()),
    ]  # fmt: skip


def _memory_in_flight(contender: Contender, small: Path, big: Path) -> Row:
    run_load(contender.targets["tcp"], 4, 0.3, small, core=LOAD_CORE)
    forget_peak(contender.pid)
    before = rss_bytes(contender.pid)
    run_load(contender.targets["tcp"], 4, 1.0, big, core=LOAD_CORE)
    grown = (peak_bytes(contender.pid) - before) / _MIB
    what = "growth of the memory of a fresh router, 4 x 10 MB in flight, MiB"
    return Row(_GROUP, what, Spread((grown,)), 16)


def _links(folder: Path, count: int = 200) -> list[Row]:
    """Memory of a router without and with `count` workers on it."""
    with router(folder, links=2, slots=1) as small:
        low, idle = rss_bytes(small.pid), rss_bytes(small.pid)
    with router(folder, links=count, slots=1) as big:
        sizes: list[int] = []

        def settled() -> bool:
            sizes.append(rss_bytes(big.pid))
            return len(sizes) > 20 and sizes[-1] == sizes[-20] and sizes[-1] > low

        wait_until(settled, 10, "the workers' links")
        each = (sizes[-1] - low) / (count - 2) / 1024
    return [
        Row(_GROUP, "memory of an idle router, MiB", Spread((idle / _MIB,)), 60, digits=0),
        Row(_GROUP, f"memory of a connected worker in the router, KiB ({count} of them)",
            Spread((each,)), 40, digits=1),
    ]  # fmt: skip
