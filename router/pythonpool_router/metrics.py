"""The router's numbers as Prometheus families: one collector over the counters that calls keep.

Called by `/metrics`. Reads `Pools` and the health monitor; changes nothing. API.md 3 names the
families; HELP and TYPE are there from the start.
"""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pythonpool_router.counters import BOUNDS, Histogram, PoolCounters
from pythonpool_router.health import HealthMonitor
from pythonpool_router.pools import Pool, Pools
from pythonpool_router.standing import states

_BOUND_TEXTS = [*(str(float(bound)) for bound in BOUNDS), "+Inf"]


class RouterMetrics(Collector):
    """All families of one router, made afresh at each scrape."""

    def __init__(self, pools: Pools, health: HealthMonitor) -> None:
        self._pools = pools
        self._health = health

    def describe(self) -> Iterable[Metric]:
        """No names ahead of the first scrape: the registry need not collect to learn them."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, each with HELP and TYPE even when it has no samples yet."""
        pools = list(self._pools.by_name.values())
        yield _build_info()
        yield from _gauges(pools)
        yield from _memory(pools)
        for pool in pools:
            pool.settle()
        counted = [(pool.name, pool.counters) for pool in pools]
        counted.append(("", self._pools.nowhere))
        yield from _executions(counted)
        yield from _totals(counted)
        yield self._health_checks()

    def _health_checks(self) -> Metric:
        family = CounterMetricFamily(
            "pythonpool_health_checks",
            "Health checks of a pool, by result.",
            labels=["pool", "result"],
        )
        for (pool, result), number in sorted(self._health.results.items()):
            family.add_metric([pool, result], number)
        return family


def _build_info() -> Metric:
    info = {"version": version("pythonpool"), "python": platform.python_version()}
    return InfoMetricFamily("pythonpool_build", "What this process was built from.", value=info)


def _gauges(pools: list[Pool]) -> Iterator[Metric]:
    slots = GaugeMetricFamily(
        "pythonpool_slots", "Slots of ready workers, by state.", labels=["pool", "state"]
    )
    workers = GaugeMetricFamily(
        "pythonpool_workers", "Workers of a pool, by state.", labels=["pool", "state"]
    )
    queued = GaugeMetricFamily(
        "pythonpool_queue_length", "Calls that wait in this router.", labels=["pool"]
    )
    sessions = GaugeMetricFamily("pythonpool_sessions", "Open sessions.", labels=["pool"])
    for pool in pools:
        counted = pool.slots()
        slots.add_metric([pool.name, "available"], counted.available)
        slots.add_metric([pool.name, "busy"], counted.busy)
        slots.add_metric([pool.name, "total"], counted.total)
        for state, number in states(pool).items():
            workers.add_metric([pool.name, state], number)
        queued.add_metric([pool.name], pool.queued)
        sessions.add_metric([pool.name], pool.sessions)
    return iter((slots, workers, queued, sessions))


def _memory(pools: list[Pool]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "pythonpool_worker_memory_bytes", "Memory of a pool's workers.", labels=["pool", "stat"]
    )
    for pool in pools:
        sizes = [worker.memory_bytes for worker in pool.workers.values() if worker.is_linked]
        family.add_metric([pool.name, "max"], max(sizes, default=0))
        family.add_metric([pool.name, "mean"], sum(sizes) / len(sizes) if sizes else 0)
    yield family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return list(zip(_BOUND_TEXTS, accumulate(histogram.counts), strict=True))


def _executions(counted: list[tuple[str, PoolCounters]]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "pythonpool_executions",
        "Calls that ended, refusals included, by code.",
        labels=["pool", "command", "code"],
    )
    ran = HistogramMetricFamily(
        "pythonpool_execution_seconds", "Time to run of calls.", labels=["pool", "command"]
    )
    waited = HistogramMetricFamily(
        "pythonpool_queue_wait_seconds", "Time that calls waited for a slot.", labels=["pool"]
    )
    for pool, counters in counted:
        for (command, code), number in counters.executions.items():
            ended.add_metric([pool, command, code], number)
        for command, histogram in counters.execution_seconds.items():
            ran.add_metric([pool, command], _buckets(histogram), histogram.total_seconds)
        if pool:
            wait = counters.queue_wait
            waited.add_metric([pool], _buckets(wait), wait.total_seconds)
    return iter((ended, ran, waited))


def _totals(counted: list[tuple[str, PoolCounters]]) -> Iterator[Metric]:
    ends = CounterMetricFamily(
        "pythonpool_session_ends", "Sessions that ended, by reason.", labels=["pool", "reason"]
    )
    exits = CounterMetricFamily(
        "pythonpool_worker_exits",
        "Deaths of workers and of executors, by cause.",
        labels=["pool", "cause"],
    )
    for pool, counters in counted:
        for reason, number in counters.session_ends.items():
            ends.add_metric([pool, reason], number)
        for cause, number in counters.worker_exits.items():
            exits.add_metric([pool, cause], number)
    return iter((ends, exits))
