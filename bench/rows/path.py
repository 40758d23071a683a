"""The whole path (router, agent, executor): latency, calls per second, CPU of each process."""

from collections.abc import Callable
from pathlib import Path

from bench.figures import Row, spread
from bench.local import Home, up
from bench.manifests import execute, manifest
from bench.programs import Load, request_file, run_load
from bench.registry import Effort
from bench.rows.small import SMALL
from bench.turns import take_turns

_ECHO = execute("echo")
_CONNECTIONS = (1, 16, 64)
_ROLES = {"router": "router", "agent": "agent", "template": "executors", "keeper": "keeper"}
Measured = tuple[Load, dict[str, float]]


def measure(folder: Path, effort: Effort) -> list[Row]:
    """1, 16 and 64 connections, with and without a session; then random times at half load."""
    spec = "  replicas: 1\n  concurrency: 4\n  sessions:\n    maxPerWorker: 64\n"
    rows: list[Row] = []
    with up(folder / "path", manifest(folder / "path", spec), _ECHO) as home:
        call = request_file(folder, "call", _ECHO, SMALL, home.token)
        sessions = _sessions(home, folder, max(_CONNECTIONS))
        run_load(home.target, 16, 0.5, call)
        top = 0.0
        for connections in _CONNECTIONS:
            ways = {"path": [call], "session": sessions[:connections]}
            found = take_turns(
                tuple(ways), effort.rounds, effort.chance, _once(home, connections, ways, effort)
            )
            for way, measured in found.items():
                rows += _rows(f"{way}.{connections}", _said(way, connections), measured)
            top = max(top, *(load.rate for load, _ in found["path"]))
        loads = [
            run_load(home.target, 64, effort.seconds, call, top / 2) for _ in range(effort.rounds)
        ]
    said = f"{top / 2:,.0f} calls/s (half load, random times)"
    return [
        *rows,
        Row("path.half.p50", f"p50, ms, {said}", spread(load.p50_us / 1e3 for load in loads), 3),
        Row("path.half.p99", f"p99, ms, {said}", spread(load.p99_us / 1e3 for load in loads)),
    ]


def _sessions(home: Home, folder: Path, count: int) -> list[Path]:
    """A request of each of so many new sessions."""
    caller = home.caller()
    files = []
    for n in range(count):
        handle = caller.call("/v1/sessions", {"pool": "bench"})["session_id"]
        path = f"/v1/sessions/{handle}/execute/echo"
        files.append(request_file(folder, f"session-{n}", path, SMALL, home.token))
    return files


def _once(
    home: Home, connections: int, ways: dict[str, list[Path]], effort: Effort
) -> Callable[[str], Measured]:
    return lambda way: load_and_costs(home, connections, effort.seconds, ways[way])


def load_and_costs(
    home: Home, connections: int, seconds: float, requests: list[Path], target: str = ""
) -> Measured:
    """What callers saw, and CPU microseconds a call by role of process."""
    before = home.cpu_by_role()
    load = run_load(target or home.target, connections, seconds, requests)
    after = home.cpu_by_role()
    return load, {role: (after[role] - before[role]) / load.all_calls * 1e6 for role in after}


def _said(way: str, connections: int) -> str:
    each = ", each with a session of its own" if way == "session" else ""
    return f"{connections} connection{'s' if connections > 1 else ''}{each}, 1 worker of 4 slots"


def _rows(key: str, at: str, measured: list[Measured]) -> list[Row]:
    total = spread(sum(costs.values()) for _, costs in measured)
    best = spread(2e6 / cost for cost in total.values)
    return [
        Row(f"{key}.p50", f"p50, ms, {at}", spread(load.p50_us / 1e3 for load, _ in measured), 3),
        Row(f"{key}.p99", f"p99, ms, {at}", spread(load.p99_us / 1e3 for load, _ in measured)),
        Row(f"{key}.rate", f"calls per second, {at}", spread(load.rate for load, _ in measured), 0),
        cpu_row(f"{key}.cpu", f"CPU of all processes, µs a call, {at}", measured),
        Row(f"{key}.best", f"calls per second that two idle cores would bear, {at}", best, 0,
            note="2 s by CPU a call; the load generator not counted"),
    ]  # fmt: skip


def cpu_row(key: str, what: str, measured: list[Measured], digits: int = 0) -> Row:
    """The CPU a call of all processes together; the note says whose it is."""
    by_role = {name: spread(costs[role] for _, costs in measured) for role, name in _ROLES.items()}
    shares = [f"{name} {of.median:.{digits}f}" for name, of in by_role.items() if of.median >= 0.5]
    return Row(
        key,
        what,
        spread(sum(costs.values()) for _, costs in measured),
        digits,
        note=" · ".join(shares),
        details={"by_role": {name: list(of.values) for name, of in by_role.items()}},
    )
