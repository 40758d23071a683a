"""Streams: a generator's thousand chunks as events, each a value of its own."""

from pathlib import Path

from bench.figures import Row, spread
from bench.local import up
from bench.manifests import execute, manifest
from bench.programs import request_file
from bench.registry import Effort
from bench.rows.path import Measured, cpu_row, load_and_costs
from bench.turns import take_turns

_CHUNKS = 1000


def measure(folder: Path, effort: Effort) -> list[Row]:
    """One stream at a time, and sixteen on four slots."""
    at = folder / "streams"
    pool = manifest(at, "  replicas: 1\n  concurrency: 4\n")
    with up(at, pool, execute("echo")) as home:
        body = b'{"count": %d}' % _CHUNKS
        path, accept = execute("chunks"), "text/event-stream"
        request = request_file(folder, "stream", path, body, home.token, accept=accept)

        def once(connections: str) -> Measured:
            # A stream takes some ten milliseconds: a turn of a second has enough of them.
            return load_and_costs(home, int(connections), 2 * effort.seconds, [request])

        found = take_turns(("1", "16"), effort.rounds, effort.chance, once)
    return [row for connections, measured in found.items() for row in _rows(connections, measured)]


def _rows(connections: str, measured: list[Measured]) -> list[Row]:
    at = f"{connections} stream{'s' if connections != '1' else ''} of {_CHUNKS:,} chunks, 4 slots"
    each = [
        (load, {role: cpu / _CHUNKS for role, cpu in costs.items()}) for load, costs in measured
    ]
    key = f"streams.{connections}"
    return [
        Row(f"{key}.p50", f"p50 of a whole stream, ms, {at}",
            spread(load.p50_us / 1e3 for load, _ in each), 1),
        Row(f"{key}.rate", f"chunks per second, {at}",
            spread(load.rate * _CHUNKS for load, _ in each), 0),
        cpu_row(f"{key}.cpu", f"CPU of all processes, µs a chunk, {at}", each, 1),
    ]  # fmt: skip
