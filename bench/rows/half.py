"""Half load: requests at random times, at half the rate that the slowest contender bears."""

from pathlib import Path

from bench.contenders import contenders, cpu_and_load, only_cpu
from bench.figures import Row, paired, spread
from bench.programs import run_load
from bench.registry import Effort
from bench.routers import LOAD_CORE
from bench.rows.small import small_request
from bench.turns import take_turns

_CONNECTIONS = 128


def measure(folder: Path, effort: Effort) -> list[Row]:
    """CPU and latency of all at one rate; latency counts from the time a request was due."""
    names = ("router", "nginx", "haproxy")
    rows: list[Row] = []
    with contenders(folder) as found:
        request = small_request(folder)
        for transport in ("tcp",) if effort.is_quick else ("tcp", "unix"):
            rate = 0.5 * min(
                run_load(found[name].targets[transport], 32, 1.0, request, core=LOAD_CORE).rate
                for name in names
            )
            measured = take_turns(
                names,
                effort.rounds,
                effort.chance,
                lambda name, transport=transport, rate=rate: cpu_and_load(  # type: ignore[misc]
                    found[name], transport, _CONNECTIONS, effort.seconds, request, rate
                ),
            )
            cpu = only_cpu(measured)
            at = f"{rate:,.0f} calls/s (half load), {transport}"
            key = f"half.{transport}"
            for peer in names[1:]:
                what = f"router CPU against {peer}, {at}"
                rows.append(Row(f"{key}.{peer}", what, paired(cpu["router"], cpu[peer])))
            for name in names:
                p50 = spread(load.p50_us / 1e3 for _, load in measured[name])
                p99 = spread(load.p99_us / 1e3 for _, load in measured[name])
                rows += [
                    Row(
                        f"{key}.cpu.{name}", f"CPU of {name}, µs a call, {at}", spread(cpu[name]), 1
                    ),
                    Row(f"{key}.p50.{name}", f"p50 of {name}, ms, {at}", p50, 3),
                    Row(f"{key}.p99.{name}", f"p99 of {name}, ms, {at}", p99, 3),
                ]
    return rows
