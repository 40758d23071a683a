"""The whole path (router, agent, executor), and how fast things start, end and are replaced."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Row, Spread
from bench.local import Caller, Home, up
from bench.processes import private_bytes, wait_until
from bench.programs import HERE, Load, request_file, run_load
from bench.proxying import SMALL

_PATH = "Whole path: router, agent, executor (echo)"
_ENDS = "Starts, ends and replacements"
_ECHO = "/v1/pools/bench/execute/echo"
_MIB = 1_048_576
EXAMPLES = HERE.parent / "examples" / "pools.yaml"


def _manifest(folder: Path, spec: str) -> Path:
    folder.mkdir()
    (folder / "workbench.py").symlink_to(HERE / "pools" / "workbench.py")
    path = folder / "pools.yaml"
    path.write_text(
        "apiVersion: pythonpool.dev/v1alpha1\nkind: PythonPool\nmetadata:\n  name: bench\n"
        f"spec:\n  adapter: workbench:Workbench\n{spec}"
    )
    return path


def path(folder: Path, rounds: int, seconds: float) -> list[Row]:
    """Calls per second, latency and CPU by process, at 1, 16 and 64 connections."""
    manifest = _manifest(folder / "path", "  replicas: 1\n  concurrency: 4\n")
    rows: list[Row] = []
    with up(folder / "path", manifest, _ECHO) as home:
        request = request_file(folder, "whole", _ECHO, SMALL, home.token)
        target = f"tcp:127.0.0.1:{home.port}"
        run_load(target, 16, 0.5, request)
        for connections in (1, 16, 64):
            loads, costs = [], []
            for _ in range(rounds):
                before = home.cpu_by_role()
                loads.append(run_load(target, connections, seconds, request))
                after = home.cpu_by_role()
                calls = loads[-1].all_calls
                costs.append({r: (after[r] - before[r]) / calls * 1e6 for r in after})
            rows += _path_rows(connections, loads, costs)
    return rows


def _path_rows(connections: int, loads: list[Load], costs: list[dict[str, float]]) -> list[Row]:
    at = f"{connections} connection{'s' if connections > 1 else ''}, 1 worker of 4 slots"
    total = Spread(tuple(sum(cost.values()) for cost in costs))
    parts = {
        "router": "router", "agent": "agent", "template": "executors", "keeper": "keeper",
    }  # fmt: skip
    best = Spread(tuple(2e6 / cost for cost in total.values))
    return [
        Row(_PATH, f"p50, ms, {at}", Spread(tuple(load.p50_us / 1e3 for load in loads)),
            0.2 if connections == 1 else None, digits=3),
        Row(_PATH, f"p99, ms, {at}", Spread(tuple(load.p99_us / 1e3 for load in loads)), digits=2),
        Row(_PATH, f"calls per second, {at}", Spread(tuple(load.rate for load in loads)),
            15_000 if connections == 64 else None, at_least=True, digits=0),
        Row(_PATH, f"CPU of all processes, µs a call, {at}", total, digits=1),
        *(Row(_PATH, f"CPU of the {name}, µs a call, {at}",
              Spread(tuple(cost[role] for cost in costs)), digits=1)
          for role, name in parts.items() if max(cost[role] for cost in costs) >= 1),
        Row(_PATH, f"calls per second that two idle cores would bear, {at}", best, digits=0,
            note="2 s of CPU by CPU a call; the load generator not counted"),
    ]  # fmt: skip


def ends(folder: Path, rounds: int) -> list[Row]:
    """Sessions, timeouts, kills: what a caller sees of each, in milliseconds."""
    spec = "  replicas: 1\n  concurrency: 1\n  sessions:\n    maxPerWorker: 64\n"
    with up(folder / "ends", _manifest(folder / "ends", spec), _ECHO) as home:
        caller = home.caller()
        timed: dict[str, list[float]] = {
            "one call, one at a time": [
                _ms(lambda: caller.call(_ECHO)) for _ in range(rounds * 20)
            ],
            "session create": [_session(caller) for _ in range(rounds * 4)],
        }
        for _ in range(rounds):
            late, following = _timeout(caller)
            timed.setdefault("deadline to the answer 504", []).append(late)
            timed.setdefault("that answer to the next answer", []).append(following)
        for _ in range(rounds):
            error, following = _killed(home, caller)
            timed.setdefault("kill -9 of an executor to the answer 502", []).append(error)
            timed.setdefault("that answer to the next answer (standby)", []).append(following)
        timed["kill -9 of executor and standby to the next answer (fork)"] = [
            _forked(home, caller) for _ in range(rounds)
        ]
    budgets = {
        "session create": 5.0,
        "that answer to the next answer": 50.0,
        "kill -9 of an executor to the answer 502": 100.0,
        "kill -9 of executor and standby to the next answer (fork)": 20.0,
    }
    return [
        Row(
            _ENDS,
            f"{what}, ms",
            Spread(tuple(values)),
            budgets.get(what),
            is_for_all="fork" not in what,
        )
        for what, values in timed.items()
    ]


def _ms(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return (time.monotonic() - began) * 1e3


def _session(caller: Caller) -> float:
    made: list[str] = []
    # The standby is renewed after each: its fork must not be counted into the next.
    time.sleep(0.15)
    took = _ms(lambda: made.append(caller.call("/v1/sessions", {"pool": "bench"})["session_id"]))
    caller.ask("DELETE", f"/v1/sessions/{made[0]}")
    return took


def _timeout(caller: Caller) -> tuple[float, float]:
    def overrun() -> None:
        status, said = caller.ask("POST", "/v1/pools/bench/execute/spin?timeout=0.2", {})
        assert status == 504, said

    return _ms(overrun) - 200, _ms(lambda: caller.call(_ECHO))


def _killed(home: Home, caller: Caller) -> tuple[float, float]:
    victim = int(caller.call("/v1/pools/bench/execute/pid"))
    other, ended = home.caller(), threading.Event()
    moments: list[float] = []

    def wait_for_error() -> None:
        other.ask("POST", "/v1/pools/bench/execute/spin", {})
        moments.append(time.monotonic())
        ended.set()

    threading.Thread(target=wait_for_error).start()
    busy = "/v1/pools/bench"
    wait_until(lambda: _busy(caller, busy), 5, "the call runs")
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    ended.wait(10)
    following = _ms(lambda: caller.call(_ECHO))
    time.sleep(0.2)
    return (moments[0] - began) * 1e3, following


def _busy(caller: Caller, path: str) -> bool:
    return bool(caller.ask("GET", path)[1]["busy"] == 1)


def _forked(home: Home, caller: Caller) -> float:
    # Executors that only die are started again more slowly; one that has answered begins anew.
    time.sleep(1.0)
    caller.call(_ECHO)
    pids = home.executors()
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while caller.ask("POST", _ECHO, {})[0] != 200:
        pass
    return (time.monotonic() - began) * 1e3


def forks(folder: Path, modules: tuple[str, ...]) -> list[Row]:
    """Memory of one more executor, forked from a template, against a fresh interpreter."""
    rows = []
    for module in modules:
        name = module or "bare"
        spec = f"  replicas: 1\n  env:\n    - {{name: PRELOAD, value: '{module}'}}\n"
        at = folder / f"forks-{name}"
        with up(at, _manifest(at, spec), _ECHO) as home:
            home.caller().call(_ECHO)
            pids = home.executors()
            forked = sorted(private_bytes(pid) for pid in pids)[0]
        fresh, seconds = _fresh(module)
        ratio = Spread((forked / fresh,))
        rows += [
            Row(_ENDS, f"private memory of a forked executor against a fresh one, {name}", ratio,
                1 / 20 if module == "dspy" else None, digits=3),
            Row(_ENDS, f"private memory of a forked executor, MiB, {name}",
                Spread((forked / _MIB,))),
            Row(_ENDS, f"a fresh interpreter that has imported it, s, {name}", Spread((seconds,))),
        ]  # fmt: skip
    return rows


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


def starts(folder: Path, rounds: int) -> list[Row]:
    """`pythonpool up` to the first answer of the general pool, and the CPU that went into it."""
    alone = _manifest(folder / "starts", "").with_name("general.yaml")
    alone.write_text(EXAMPLES.read_text().split("\n---\n")[0])
    rows = []
    for name, manifest in (("general alone", alone), ("all three pools", EXAMPLES)):
        seconds, cpu = [], []
        for n in range(rounds):
            at = folder / f"starts-{manifest.stem}-{n}"
            with up(at, manifest, "/v1/pools/general/execute/echo") as home:
                seconds.append(time.monotonic() - home.began)
                cpu.append(sum(home.cpu_by_role().values()))
        what = f"`pythonpool up` to the first answer of general, s, {name}"
        rows += [
            Row(_ENDS, what, Spread(tuple(seconds)), 2.0),
            Row(_ENDS, f"CPU of all processes until then, s, {name}", Spread(tuple(cpu))),
        ]
    return rows
