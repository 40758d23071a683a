"""Answers of the cold routes: JSON, and errors as problem objects, each made in one place."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pythonpool.errors import InvalidArgument, PythonPoolError
from pythonpool_router.access import Caller
from pythonpool_router.responses import error_fields, problem_body
from pythonpool_router.router import Router

Endpoint = Callable[[Request], Awaitable[Response]]


def router_of(request: Request) -> Router:
    """The router that this request came to."""
    router: Router = request.app.state.router
    return router


def caller_of(request: Request) -> Caller:
    """Who asks; the front has looked at the token."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON; answers are about this moment, so nobody may keep them."""
    return Response(
        orjson.dumps(value),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )


def problem(error: PythonPoolError, headers: Mapping[str, str] | None = None) -> Response:
    """The problem object of an error with its status and fields."""
    fields = {name.decode(): value.decode() for name, value in error_fields(error)}
    return Response(
        problem_body(error), error.status, {**fields, **(headers or {})}, "application/problem+json"
    )


def answered(endpoint: Endpoint) -> Endpoint:
    """Typed errors that `endpoint` raises become their answers."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except PythonPoolError as error:
            return problem(error)

    return guarded


def no_query(request: Request) -> None:
    """Refuse query names on a path that takes none.

    Raises:
        InvalidArgument: there are some.
    """
    only_query(request)


def only_query(request: Request, *names: str) -> dict[str, str]:
    """The query as name to value.

    Raises:
        InvalidArgument: a name that is not among `names`, or that stands there twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            takes = f"it takes {', '.join(names)}" if names else "this path takes none"
            raise InvalidArgument(f'query "{name}" is not known: {takes}')
        if name in found:
            raise InvalidArgument(f'query "{name}" is given twice: give it once')
        found[name] = value
    return found
