"""Two routers on one pool: calls that its worker refuses, and whether both fare alike."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Row, paired, spread
from bench.local import Caller, Home, up
from bench.manifests import execute, manifest
from bench.processes import wait_until
from bench.programs import HERE, Load, RunningLoad, request_file, run_load
from bench.registry import Effort
from bench.rows.small import SMALL

_ECHO = execute("echo")
_CONNECTIONS = 16
_AT = f"2 routers, {_CONNECTIONS} connections each, 1 worker of 4 slots"


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Saturated over each router's own socket; then the same with taps that count frames."""
    at = folder / "sharing"
    pool = manifest(at, "  replicas: 1\n  concurrency: 4\n")
    with up(at, pool, _ECHO, routers=2) as home:
        request = request_file(folder, "call", _ECHO, SMALL, home.token)
        seconds = max(2 * effort.seconds, 1.0)
        _both(home, request, 0.5)
        alone, both = [], []
        for _ in range(effort.rounds):
            alone.append(run_load(home.router_target(0), 2 * _CONNECTIONS, seconds, request))
            both.append(_both(home, request, seconds))
        refused, detail = _refusals(home, request, seconds)
    return [
        Row("sharing.refusals", f"refusals by the worker per finished call, {_AT}",
            spread([refused]), 3, note="counted through a relay", details=detail),
        Row("sharing.fairness", f"p99 of one router's callers against the other's, {_AT}",
            spread(_ratio([load.p99_us for load in pair]) for pair in both)),
        Row("sharing.calls", f"share of calls that the busier router got done, {_AT}",
            spread(max(load.calls for load in pair) / sum(load.calls for load in pair)
                   for pair in both)),
        Row("sharing.rate", f"calls per second against the same load on one router, {_AT}",
            paired([sum(load.rate for load in pair) for pair in both],
                   [load.rate for load in alone])),
    ]  # fmt: skip


def _ratio(values: list[float]) -> float:
    return max(values) / min(values)


def _both(home: Home, request: Path, seconds: float) -> list[Load]:
    running = [
        RunningLoad(home.router_target(index), _CONNECTIONS, seconds, request) for index in (0, 1)
    ]
    return [load.result() for load in running]


def _refusals(home: Home, request: Path, seconds: float) -> tuple[float, dict[str, object]]:
    """Taps take the place of the routers' sockets; a new worker dials them."""
    with _tap(home, 0) as first, _tap(home, 1) as second:
        _recycle(home.caller())
        loads = _both(home, request, seconds)
    frames = {
        kind: first.get(kind, 0) + second.get(kind, 0) for kind in first.keys() | second.keys()
    }
    return frames.get("REFUSE", 0) / sum(load.all_calls for load in loads), {"frames": frames}


def _recycle(caller: Caller) -> None:
    """Replace the worker, and wait until the other one serves alone."""
    path = "/v1/pools/bench/workers"
    (old,) = (worker["name"] for worker in caller.ask("GET", path)[1]["items"])
    caller.call(f"{path}/{old}/recycle")

    def is_replaced() -> bool:
        items = caller.ask("GET", path)[1]["items"]
        return [item["state"] for item in items] == ["ready"] and items[0]["name"] != old

    wait_until(is_replaced, 30, "the worker is replaced")


@contextmanager
def _tap(home: Home, index: int) -> Iterator[dict[str, int]]:
    """Filled with the frames from workers to this router when the block is left."""
    link = home.folder / "home" / "run" / f"link-{index}.sock"
    behind = link.with_suffix(".behind")
    link.rename(behind)
    frames: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.tap", str(link), str(behind)],
        cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as process:  # fmt: skip
        try:
            wait_until(link.exists, 10, "the tap listens")
            yield frames
            frames.update(json.loads(process.communicate(timeout=10)[0]))
        finally:
            process.kill()
