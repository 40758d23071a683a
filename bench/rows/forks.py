"""One more executor, forked from a template, against a fresh interpreter: time and memory."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from bench.figures import Row, paired, spread
from bench.local import up
from bench.manifests import execute, manifest
from bench.processes import private_bytes
from bench.registry import Effort
from bench.rows.bodies import MIB
from bench.rows.ends import forked_ms

_ECHO = execute("echo")
_SESSIONS = 4


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Bare, with numpy and with dspy, as far as they are installed."""
    modules = ("", "dspy") if effort.is_quick else ("", "numpy", "dspy")
    rows: list[Row] = []
    for module in modules:
        if not module or find_spec(module) is not None:
            rows += _rows(folder, module, effort)
    return rows


def _rows(folder: Path, module: str, effort: Effort) -> list[Row]:
    name = module or "bare"
    spec = f"  replicas: 1\n  env:\n    - {{name: PRELOAD, value: '{module}'}}\n"
    at = folder / f"forks-{name}"
    with up(at, manifest(at, spec), _ECHO) as home:
        caller = home.caller()
        took, pids = [], []
        for _ in range(_SESSIONS):
            began = time.monotonic()
            handle = caller.call("/v1/sessions", {"pool": "bench"})["session_id"]
            took.append((time.monotonic() - began) * 1e3)
            pids.append(int(caller.call(f"/v1/sessions/{handle}/execute/pid")))
        forked = [private_bytes(pid) for pid in pids]
        kills = [forked_ms(caller) for _ in range(effort.rounds)]
    fresh = [_fresh(module) for _ in forked]
    sizes = [size for size, _ in fresh]
    return [
        Row(f"forks.memory.{name}",
            f"private memory of a forked executor against a fresh one, {name}",
            paired(forked, sizes), 3),
        Row(f"forks.private.{name}", f"private memory of a forked executor, MiB, {name}",
            spread(size / MIB for size in forked)),
        Row(f"forks.fresh-private.{name}", f"private memory of a fresh interpreter, MiB, {name}",
            spread(size / MIB for size in sizes)),
        Row(f"forks.kill.{name}",
            f"kill -9 of an executor and then its standby to the next answer, ms, {name}",
            spread(kills), 1),
        Row(f"forks.session.{name}", f"session create, one right after the other, ms, {name}",
            spread(took), 1),
        Row(f"forks.fresh.{name}", f"a fresh interpreter that has imported it, ms, {name}",
            spread(seconds * 1e3 for _, seconds in fresh), 0),
    ]  # fmt: skip


def _fresh(module: str) -> tuple[int, float]:
    imports = ", ".join(filter(None, ("pythonpool.adapter", module)))
    code = f"import {imports}\nprint(1, flush=True)\ninput()"
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.monotonic() - began
        size = private_bytes(process.pid)
        process.kill()
    return size, seconds
