"""The operator's own numbers and probes: `/metrics`, `/livez`, `/readyz` on one port."""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pythonpool import __version__ as version
from pythonpool_operator.keyqueue import TryAgain
from pythonpool_operator.kinds import Key


class Metrics:
    """Counts what the operator does (API.md 3)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count = Counter(
            "pythonpool_reconciles",
            "Looks at a pool, by how they ended.",
            ["result"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "pythonpool_reconcile_seconds", "Time of one look at a pool.", registry=self.registry
        )
        info = Gauge(
            "pythonpool_build_info", "Always 1.", ["version", "part"], registry=self.registry
        )
        info.labels(version, "operator").set(1)
        for result in ("ok", "retry", "defect"):
            self._count.labels(result)

    def measured(self, work: Callable[[Key], Awaitable[bool]]) -> Callable[[Key], Awaitable[bool]]:
        """The same work, counted and timed."""

        async def run(key: Key) -> bool:
            began = time.perf_counter()
            result = "defect"
            try:
                stays = await work(key)
                result = "ok"
            except TryAgain:
                result = "retry"
                raise
            finally:
                self._count.labels(result).inc()
                self._seconds.observe(time.perf_counter() - began)
            return stays

        return run


@asynccontextmanager
async def serve(metrics: Metrics, port: int, is_ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port.

    Raises:
        OSError: the port is taken.
    """

    async def show(_: web.Request) -> web.Response:
        text = generate_latest(metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        if is_ready():
            return web.Response(text="ready\n")
        return web.Response(text="the pools have not been listed yet\n", status=503)

    app = web.Application()
    app.add_routes([web.get("/metrics", show), web.get("/livez", live), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, _listening(port)).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _listening(port: int) -> socket.socket:
    """One socket for both families: with port 0 they would get a port each."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=False
        )
    return socket.create_server(("", port))
