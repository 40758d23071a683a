"""Bodies of 1 kB, 100 kB and 10 MB, there and back: CPU, and memory while they are under way."""

from pathlib import Path

from bench.contenders import contenders, cpu_and_load, only_cpu
from bench.figures import Row, paired, spread
from bench.processes import forget_peak, peak_bytes, rss_bytes, tree
from bench.programs import request_file, run_load
from bench.registry import Effort
from bench.routers import ECHO, LOAD_CORE, TOKEN, Contender, router
from bench.rows.small import small_request
from bench.turns import take_turns

MIB = 1_048_576
_NAMES = ("router", "nginx", "haproxy")
SIZES = {"1kB": 1_000, "100kB": 100_000, "10MB": 10_000_000}


def measure(folder: Path, effort: Effort) -> list[Row]:
    """More than four of 10 MB at a time is a matter of the buffers of the kernel."""
    rows: list[Row] = []
    requests = {name: _request(folder, name, size) for name, size in SIZES.items()}
    with contenders(folder) as found:
        for name, request in requests.items():
            cpu = only_cpu(
                take_turns(
                    _NAMES,
                    effort.rounds,
                    effort.chance,
                    lambda who, request=request: cpu_and_load(  # type: ignore[misc]
                        found[who], "tcp", 4, effort.seconds, request
                    ),
                )
            )
            rows += _rows(cpu, name)
        rows += [
            Row(f"memory.after.{who}", f"memory of {who} after all bodies, MiB",
                spread([sum(map(rss_bytes, tree(found[who].pid))) / MIB]), digits=0)
            for who in _NAMES
        ]  # fmt: skip
    with router(folder) as fresh:
        rows.append(_in_flight(fresh, small_request(folder), requests["10MB"], effort.seconds))
    return rows


def _request(folder: Path, name: str, size: int) -> Path:
    return request_file(folder, name, ECHO, b'"' + b"x" * (size - 2) + b'"', TOKEN)


def _rows(cpu: dict[str, list[float]], name: str) -> list[Row]:
    at = f"{name} there and back, 4 connections, tcp"
    return [
        *(Row(f"bodies.{name}.{peer}", f"router CPU against {peer}, {at}",
              paired(cpu["router"], cpu[peer])) for peer in _NAMES[1:]),
        *(Row(f"bodies.{name}.cpu.{who}", f"CPU of {who}, ms a call, {at}",
              spread(v / 1e3 for v in values), digits=3) for who, values in cpu.items()),
    ]  # fmt: skip


def _in_flight(fresh: Contender, small: Path, big: Path, seconds: float) -> Row:
    run_load(fresh.targets["tcp"], 4, 0.3, small, core=LOAD_CORE)
    forget_peak(fresh.pid)
    before = rss_bytes(fresh.pid)
    run_load(fresh.targets["tcp"], 4, max(seconds, 1.0), big, core=LOAD_CORE)
    grown = (peak_bytes(fresh.pid) - before) / MIB
    what = "growth of the memory of a fresh router, 4 x 10 MB in flight, MiB"
    return Row("memory.flight", what, spread([grown]))
