"""System calls a call, by `strace -c`."""

from pathlib import Path

from bench.contenders import contenders
from bench.figures import Row, spread
from bench.processes import SystemCalls, tree
from bench.programs import run_load
from bench.registry import Effort
from bench.routers import LOAD_CORE, Contender
from bench.rows.small import small_request


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Router, nginx and haproxy with 8 connections."""
    with contenders(folder) as found:
        request = small_request(folder)
        return [_row(found[name], request, effort) for name in ("router", "nginx", "haproxy")]


def _row(contender: Contender, request: Path, effort: Effort) -> Row:
    # The master of nginx sleeps.
    pids = tree(contender.pid)[1:] if contender.name == "nginx" else [contender.pid]
    with SystemCalls(pids) as counted:
        load = run_load(contender.targets["tcp"], 8, effort.seconds, request, core=LOAD_CORE)
    each = {key: round(n / load.all_calls, 3) for key, n in counted.by_name.items()}
    return Row(
        f"syscalls.{contender.name}",
        f"system calls of {contender.name} a call, 8 connections, tcp",
        spread([counted.total / load.all_calls]),
        details={"each": each},
    )
