"""Small calls of one pool while another is saturated: with calls that wait, and that compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Row, paired, spread
from bench.local import Home, up
from bench.manifests import execute, manifest
from bench.programs import Load, RunningLoad, request_file, run_load
from bench.registry import Effort
from bench.rows.small import SMALL
from bench.turns import take_turns

_RATE = 200.0
_SAID = {
    "calm": "optimizer idle",
    "rest": "optimizer saturated with calls that wait",
    "burn": "optimizer saturated with calls that compute, 2 workers",
}


def measure(folder: Path, effort: Effort) -> list[Row]:
    """The pools are named as the shipped ones, and both run the benchmark's own adapter."""
    at = folder / "neighbours"
    at.mkdir()
    general = manifest(at, "  replicas: 2\n  concurrency: 2\n", "general").read_text()
    optimizer = manifest(
        at, "  replicas: 2\n  queue:\n    maxLength: 100\n", "optimizer"
    ).read_text()
    both = at / "both.yaml"
    both.write_text(f"{general}---\n{optimizer}")
    seconds = max(2 * effort.seconds, 1.0)
    with up(at, both, execute("echo", "optimizer")) as home:
        home.caller().call(execute("echo", "general"))
        request = request_file(folder, "general", execute("echo", "general"), SMALL, home.token)

        def once(name: str) -> Load:
            with _saturated(home, folder, name, seconds):
                return run_load(home.target, 64, seconds, request, _RATE)

        found = take_turns(tuple(_SAID), effort.rounds, effort.chance, once)
    calm = [load.p50_us for load in found["calm"]]
    rows = []
    for name, loads in found.items():
        key, said = f"neighbours.{name}", f"general at {_RATE:.0f} calls/s, {_SAID[name]}"
        rows += [
            Row(f"{key}.p50", f"p50, ms, {said}", spread(load.p50_us / 1e3 for load in loads), 3),
            Row(f"{key}.p99", f"p99, ms, {said}", spread(load.p99_us / 1e3 for load in loads)),
        ]
        if name != "calm":
            ratio = paired([load.p50_us for load in loads], calm)
            rows.append(Row(f"{key}.ratio", f"p50 against optimizer idle, {said}", ratio))
    return rows


@contextmanager
def _saturated(home: Home, folder: Path, command: str, seconds: float) -> Iterator[None]:
    if command == "calm":
        yield
        return
    path, body = execute(command, "optimizer"), b'{"seconds": 0.1}'
    request = request_file(folder, command, path, body, home.token)
    load = RunningLoad(home.target, 16, seconds + 0.5, request)
    try:
        yield
    finally:
        load.result()
