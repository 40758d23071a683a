"""Bodies through the whole path: what a megabyte of args and of result costs in each process."""

from pathlib import Path

from bench.figures import Row, spread
from bench.local import Home, up
from bench.manifests import execute, manifest
from bench.processes import forget_peak, peak_bytes, rss_bytes
from bench.programs import request_file, run_load
from bench.registry import Effort
from bench.rows.bodies import MIB, SIZES
from bench.rows.path import Measured, cpu_row, load_and_costs
from bench.turns import take_turns

_ECHO = execute("echo")


def measure(folder: Path, effort: Effort) -> list[Row]:
    """1 kB, 100 kB and 10 MB of JSON, one at a time, and memory with four of 10 MB."""
    at = folder / "payloads"
    with up(at, manifest(at, "  replicas: 1\n  concurrency: 4\n"), _ECHO) as home:
        requests = {
            name: request_file(folder, name, _ECHO, _body(size), home.token)
            for name, size in SIZES.items()
        }
        seconds = {name: max(effort.seconds, 2.0 * (name == "10MB")) for name in requests}
        found = take_turns(
            tuple(requests),
            effort.rounds,
            effort.chance,
            lambda name: load_and_costs(home, 1, seconds[name], [requests[name]]),
        )
        grown = _in_flight(home, requests["10MB"])
    rows = [row for name, measured in found.items() for row in _rows(name, measured)]
    return rows + [
        Row(f"payloads.memory.{role}", f"growth of the memory of the {role}, 4 x 10 MB, MiB",
            spread([grew]), 0)
        for role, grew in grown.items()
    ]  # fmt: skip


def _rows(name: str, measured: list[Measured]) -> list[Row]:
    at = f"{name} there and back, 1 connection"
    return [
        Row(f"payloads.{name}.p50", f"p50, ms, {at}",
            spread(load.p50_us / 1e3 for load, _ in measured), 1),
        cpu_row(f"payloads.{name}.cpu", f"CPU of all processes, µs a call, {at}", measured),
    ]  # fmt: skip


def _body(size: int) -> bytes:
    """A JSON object of so many bytes, a string for the most part."""
    return b'{"text": "' + b"x" * (size - 12) + b'"}'


def _in_flight(home: Home, request: Path) -> dict[str, float]:
    """By how many MiB router and agent grow at the most."""
    pids = {role: home.processes()[role][0] for role in ("router", "agent")}
    before = {role: rss_bytes(pid) for role, pid in pids.items()}
    for pid in pids.values():
        forget_peak(pid)
    run_load(home.target, 4, 6.0, request)
    return {role: (peak_bytes(pid) - before[role]) / MIB for role, pid in pids.items()}
