"""Fifty pools on one router: what a scrape of its metrics costs and holds up, and what a call."""

import threading
from pathlib import Path

from bench.contenders import cpu_and_load
from bench.figures import Row, paired, spread
from bench.local import Caller
from bench.programs import Load, request_file, run_load
from bench.registry import Effort
from bench.routers import LOAD_CORE, TOKEN, Contender, echo_path, router
from bench.rows.small import SMALL, small_request
from bench.turns import take_turns

_POOLS = ("bench", *(f"bench-{n}" for n in range(1, 50)))
_RATE = 2000.0


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Each pool has a worker and has been called, so that all its series are there."""
    request = small_request(folder)
    everywhere = [
        request_file(folder, f"small-{pool}", echo_path(pool), SMALL, TOKEN) for pool in _POOLS
    ]
    with router(folder) as one, router(folder, pools=_POOLS) as many:
        n = len(_POOLS)
        for pool in _POOLS:
            Caller(many.port, TOKEN).call(echo_path(pool))
        scrapes, size = _scrapes(many, 5 if effort.is_quick else 20)
        calm = [_latency(many, request, effort.seconds) for _ in range(effort.rounds)]
        held = [_scraped(many, request, effort.seconds) for _ in range(effort.rounds)]
        cpu = take_turns(("one", "many"), effort.rounds, effort.chance, lambda name: (
            cpu_and_load(one, "tcp", n, effort.seconds, request)[0] if name == "one"
            else _spread_out(many, everywhere, effort.seconds)
        ))  # fmt: skip
    return [
        Row("scrapes.cpu", f"CPU of a scrape of {n} pools, ms", spread(scrapes), 1,
            details={"bytes": size}),
        Row("scrapes.p99.calm", f"p99 of calls, {_RATE:,.0f} a second, no scrape, ms",
            spread(load.p99_us / 1e3 for load in calm)),
        Row("scrapes.p99.scraped", "p99 of the same while they are scraped 5 times a second, ms",
            spread(load.p99_us / 1e3 for load in held)),
        Row("scrapes.growth",
            f"router CPU a call, {n} pools called side by side against one, {n} connections",
            paired(cpu["many"], cpu["one"])),
    ]  # fmt: skip


def _scrapes(contender: Contender, times: int) -> tuple[list[float], int]:
    caller = Caller(contender.port, TOKEN)
    used, size = [], 0
    for _ in range(times):
        before = contender.cpu_seconds()
        size = len(caller.text("/metrics"))
        used.append((contender.cpu_seconds() - before) * 1e3)
    return used, size


def _latency(contender: Contender, request: Path, seconds: float) -> Load:
    return run_load(contender.targets["tcp"], 64, seconds, request, _RATE, LOAD_CORE)


def _scraped(contender: Contender, request: Path, seconds: float) -> Load:
    ended = threading.Event()

    def scrape() -> None:
        caller = Caller(contender.port, TOKEN)
        while not ended.wait(0.2):
            caller.text("/metrics")

    scraping = threading.Thread(target=scrape)
    scraping.start()
    try:
        return _latency(contender, request, seconds)
    finally:
        ended.set()
        scraping.join()


def _spread_out(contender: Contender, requests: list[Path], seconds: float) -> float:
    # Each connection calls one pool: as many as there are pools.
    load = run_load(
        contender.targets["tcp"], len(requests), seconds, requests, core=LOAD_CORE,
        pids=[contender.pid],
    )  # fmt: skip
    return load.cpu_us
