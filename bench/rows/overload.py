"""Ten times the load that a pool bears: what it still does, and how soon the others are refused."""

from pathlib import Path

from bench.figures import Row, paired, spread
from bench.local import up
from bench.manifests import execute, manifest
from bench.programs import Load, request_file, run_load
from bench.registry import Effort
from bench.turns import take_turns

_PATIENT, _PRESSING = 64, 512
_TIMES = 10


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Calls that take 10 ms and no CPU: the slots are the limit, not this machine."""
    at = folder / "overload"
    pool = manifest(at, "  replicas: 1\n  concurrency: 4\n  queue:\n    maxLength: 100\n")
    seconds = max(2 * effort.seconds, 1.0)
    with up(at, pool, execute("echo")) as home:
        request = request_file(folder, "rest", execute("rest"), b'{"seconds": 0.01}', home.token)
        rate = _TIMES * run_load(home.target, _PATIENT, seconds, request).rate

        def once(name: str) -> Load:
            if name == "peak":
                return run_load(home.target, _PATIENT, seconds, request)
            return run_load(home.target, _PRESSING, seconds, request, rate, takes_refusals=True)

        found = take_turns(("peak", "over"), effort.rounds, effort.chance, once)
    peak, over = found["peak"], found["over"]
    said = f"{rate:,.0f} calls/s offered, calls of 10 ms on 4 slots"
    return [
        Row("overload.goodput", f"calls done per second at {_TIMES} x the load, against the most",
            paired([load.rate for load in over], [load.rate for load in peak]), note=said),
        Row("overload.refusal-p50", "p50 until a call is refused, ms, counted from its time",
            spread(load.refused_p50_us / 1e3 for load in over)),
        Row("overload.refusal-p99", "p99 until a call is refused, ms, counted from its time",
            spread(load.refused_p99_us / 1e3 for load in over)),
        Row("overload.done-p99", "p99 of those that are done, ms (the line: 100 calls)",
            spread(load.p99_us / 1e3 for load in over), 0),
        Row("overload.refused", "share of calls refused",
            spread(load.refused / (load.refused + load.calls) for load in over)),
    ]  # fmt: skip
