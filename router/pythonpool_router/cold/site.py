"""What a router says of itself: health, version, OpenAPI, metrics."""

import asyncio
import importlib.metadata
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from pythonpool import messages, names
from pythonpool_router.cold.answers import answered, json, no_query, router_of
from pythonpool_router.cold.openapi import document
from pythonpool_router.load import load_object
from pythonpool_router.metrics import RouterMetrics

if TYPE_CHECKING:
    from pythonpool_router.router import Router

OPEN = {"/livez", "/readyz", "/metrics"}
"""What the monitoring port serves too."""


def registry(router: "Router") -> prometheus_client.CollectorRegistry:
    """A registry of its own for one router: its numbers and this process's."""
    own = prometheus_client.CollectorRegistry(auto_describe=False)
    own.register(RouterMetrics(router.pools, router.health))
    prometheus_client.ProcessCollector(registry=own)
    return own


@answered
async def livez(request: Request) -> Response:
    """200 while this process answers."""
    no_query(request)
    return json({"status": "ok"})


@answered
async def readyz(request: Request) -> Response:
    """200 while callers are to be sent here: any pool serves, and it is not on its way out.

    In a cluster: the workers that there are have dialled, or had the time to.
    """
    no_query(request)
    router = router_of(request)
    pools = {pool.name: pool.is_ready for pool in router.pools.by_name.values()}
    is_ready = router.is_ready()
    return json(
        {"status": "ok" if is_ready else "unavailable", "pools": pools}, 200 if is_ready else 503
    )


@answered
async def version(request: Request) -> Response:
    """Which release this is, and what it speaks."""
    no_query(request)
    return json(
        {
            "version": importlib.metadata.version("pythonpool"),
            "api": names.API_VERSION,
            "link_protocol": [messages.PROTOCOL_MIN, messages.PROTOCOL_MAX],
        }
    )


@answered
async def openapi(request: Request) -> Response:
    """The OpenAPI 3.1 document of this API."""
    no_query(request)
    return json(document())


@answered
async def load(request: Request) -> Response:
    """What each worker does at the moment; for the operator, on the monitoring port alone."""
    no_query(request)
    router = router_of(request)
    now = asyncio.get_running_loop().time()
    return json(load_object(router.instance, router.pools, now))


@answered
async def metrics(request: Request) -> Response:
    """Prometheus text, or OpenMetrics when asked for."""
    no_query(request)
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.collector), headers={"Content-Type": content_type})
