"""A thousand workers on one router: the time they take to dial, memory, and what a call costs."""

import time
from pathlib import Path

from bench.contenders import cpu_and_load
from bench.figures import Row, paired, spread
from bench.local import Caller
from bench.processes import rss_bytes, wait_until
from bench.registry import Effort
from bench.routers import POOL, TOKEN, Contender, router, workers
from bench.rows.bodies import MIB
from bench.rows.small import small_request
from bench.turns import take_turns

_MANY = 1000


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Beside a router with one worker, in the same rounds."""
    request = small_request(folder)
    with router(folder) as one, router(folder, links=0, slots=1) as many:
        caller = Caller(many.port, TOKEN)
        idle = _settled(many)
        began, used = time.monotonic(), many.cpu_seconds()
        with workers(Path(many.targets["unix"][5:]).with_name("link"), POOL, 1, _MANY):
            wait_until(lambda: _total(caller) == _MANY, 60, "all workers' slots")
            seconds, used = time.monotonic() - began, many.cpu_seconds() - used
            each = (_settled(many) - idle) / _MANY / 1024
            found = {"one": one, "many": many}
            cpu = take_turns(
                ("one", "many"),
                effort.rounds,
                effort.chance,
                lambda name: cpu_and_load(found[name], "tcp", 32, effort.seconds, request)[0],
            )
    return [
        Row("memory.idle", "memory of an idle router, MiB", spread([idle / MIB]), 0),
        Row("memory.worker", f"memory of a connected worker in the router, KiB ({_MANY:,} of them)",
            spread([each]), 1),
        Row("workers.dialled", f"until {_MANY:,} workers have dialled and are counted, s",
            spread([seconds])),
        Row("workers.cpu", f"CPU of the router until then, s ({_MANY:,} workers)", spread([used])),
        Row("workers.growth",
            f"router CPU a call, {_MANY:,} workers of 1 slot against 1 of 128, 32 connections",
            paired(cpu["many"], cpu["one"])),
    ]  # fmt: skip


def _total(caller: Caller) -> int:
    total: int = caller.ask("GET", f"/v1/pools/{POOL}")[1]["total"]
    return total


def _settled(contender: Contender) -> int:
    """Resident memory, once it has stood still for a fifth of a second."""
    sizes: list[int] = []

    def stands_still() -> bool:
        sizes.append(rss_bytes(contender.pid))
        return len(sizes) > 20 and len(set(sizes[-20:])) == 1

    wait_until(stands_still, 10, "memory stands still")
    return sizes[-1]
