"""The cold routes as one Starlette application: everything but the execute paths.

Called by the front over the ASGI bridge, after token, Host and Origin have been looked at.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pythonpool.errors import MethodNotAllowed, NotFound
from pythonpool_router.cold import pools, sessions, site
from pythonpool_router.cold.answers import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pythonpool_router.router import Router

Endpoint = Callable[[Request], Awaitable[Response]]

LATER = {
    "/": "the live page comes with a later version",
    "/v1/executions/{rest:path}": "async executions come with a later version",
}


def create_app(router: "Router") -> "ASGIApp":
    """The routes of the main port."""
    return _application(router, [*_site_routes(), *_v1_routes(), *_later_routes()])


def create_monitoring_app(router: "Router") -> "ASGIApp":
    """`/livez`, `/readyz`, `/metrics` and `/load` alone, for the port without a token."""
    shared = [route for route in _site_routes() if route.path in site.OPEN]
    return _application(router, [*shared, _route("/load", get=site.load)])


def _application(router: "Router", routes: list[Route]) -> "ASGIApp":
    app = Starlette(routes=routes, exception_handlers={404: _not_found})
    app.router.redirect_slashes = False
    app.state.router = router
    app.state.collector = site.registry(router)
    return app


def _route(path: str, **methods: Endpoint) -> Route:
    """A path and what each method does on it; another method is 405 with `Allow`."""
    by_method = {name.upper(): endpoint for name, endpoint in methods.items()}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]
    allow = ", ".join(sorted(by_method))

    async def endpoint(request: Request) -> Response:
        run = by_method.get(request.method)
        if run is None:
            error = MethodNotAllowed(f"{request.method} is not for {request.url.path}; use {allow}")
            return problem(error, {"Allow": allow})
        return await run(request)

    return Route(path, endpoint, methods=_METHODS)


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def _site_routes() -> list[Route]:
    return [
        _route("/livez", get=site.livez),
        _route("/readyz", get=site.readyz),
        _route("/version", get=site.version),
        _route("/openapi.json", get=site.openapi),
        _route("/metrics", get=site.metrics),
    ]


def _v1_routes() -> list[Route]:
    return [
        _route("/v1/pools", get=pools.index),
        _route("/v1/pools/{pool}", get=pools.show),
        _route("/v1/pools/{pool}/commands", get=pools.commands),
        _route("/v1/pools/{pool}/workers", get=pools.workers),
        _route("/v1/pools/{pool}/workers/{worker}/recycle", post=pools.recycle),
        _route("/v1/sessions", get=sessions.index, post=sessions.create),
        _route("/v1/sessions/{session}", get=sessions.show, delete=sessions.delete),
        _route("/v1/execute/{command}", post=_hot),
        _route("/v1/pools/{pool}/execute/{command}", post=_hot),
        _route("/v1/sessions/{session}/execute/{command}", post=_hot),
    ]


async def _hot(request: Request) -> Response:
    """The front answers POST on the execute paths itself; only other methods come here."""
    raise RuntimeError(f"{request.url.path} reached the cold routes")


def _later_routes() -> list[Route]:
    def later(detail: str) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return problem(NotFound(f"no such path: {request.url.path}; {detail}"))

        return endpoint

    return [Route(path, later(detail), methods=_METHODS) for path, detail in LATER.items()]


async def _not_found(request: Request, _error: Any) -> Response:
    return problem(NotFound(f"no such path: {request.url.path}; /openapi.json lists all"))
