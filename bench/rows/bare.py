"""What the promises cost: the router beside one that only forwards; heads that vary or do not."""

from pathlib import Path

from bench.contenders import contenders, cpu_and_load
from bench.figures import Row, paired, spread
from bench.programs import ANOTHER, request_file
from bench.registry import Effort
from bench.routers import ECHO, TOKEN
from bench.rows.small import SMALL, small_request
from bench.turns import take_turns

_AT = "32 connections, tcp"


def measure(folder: Path, effort: Effort) -> list[Row]:
    """The router remembers the head before: the same one, and another one each time."""
    names = [f"{who} {head}" for who in ("router", "bare", "nginx") for head in ("same", "varied")]
    with contenders(folder) as found:
        requests = {
            "same": small_request(folder),
            "varied": request_file(folder, "varied", ECHO, SMALL, TOKEN, ANOTHER),
        }

        def once(name: str) -> tuple[float, object]:
            who, head = name.split()
            return cpu_and_load(found[who], "tcp", 32, effort.seconds, requests[head])

        measured = take_turns(names, effort.rounds, effort.chance, once)
    cpu = {name: [used for used, _ in values] for name, values in measured.items()}
    rows = []
    for head, said in (
        ("same", "the same head each time"),
        ("varied", "another traceparent each time"),
    ):
        router = cpu[f"router {head}"]
        rows += [
            Row(f"bare.{head}", f"router CPU against bare forwarding, {said}, {_AT}",
                paired(router, cpu[f"bare {head}"])),
            Row(f"bare.{head}.nginx", f"router CPU against nginx, {said}, {_AT}",
                paired(router, cpu[f"nginx {head}"])),
            Row(f"bare.{head}.cpu", f"CPU of the router, µs a call, {said}, {_AT}",
                spread(router), 1),
        ]  # fmt: skip
    return rows
