"""The OpenAPI 3.1 document: assembled once from the tables here and the error tree.

Called by `/openapi.json`. Objects are described in `schemas`, paths here.
"""

from functools import cache
from importlib.metadata import version
from typing import Any

from pythonpool_router.cold.schemas import COMPONENTS, ref

Operation = dict[str, Any]

_JSON = "application/json"
_OCTETS = "application/octet-stream"
_PROBLEM = {"content": {"application/problem+json": {"schema": ref("Problem")}}}

_POOL = {"name": "pool", "in": "path", "required": True, "schema": ref("PoolName")}
_COMMAND = {"name": "command", "in": "path", "required": True, "schema": ref("CommandName")}
_SESSION = {"name": "session", "in": "path", "required": True, "schema": ref("SessionId")}
_WORKER = {"name": "worker", "in": "path", "required": True, "schema": ref("WorkerName")}
_TIMES = [
    {
        "name": "timeout",
        "in": "query",
        "description": "Seconds to run, counted from when the worker takes the call; at most the "
        "pool's maxTimeoutSeconds. Without sign and exponent.",
        "schema": {"type": "number", "minimum": 0.001, "maximum": 86400},
    },
    {
        "name": "queue_timeout",
        "in": "query",
        "description": "Seconds to wait for a slot; 0: do not wait. Without sign and exponent.",
        "schema": {"type": "number", "minimum": 0, "maximum": 3600},
    },
]
_TRACE = {"name": "traceparent", "in": "header", "schema": {"type": "string"}}

_EXECUTE_ERRORS = (400, 401, 403, 404, 408, 410, 413, 422, 429, 431, 499, 500, 502, 503, 504)
_COLD_ERRORS = (400, 401, 403, 404, 500)


def _answers(success: dict[str, Any], errors: tuple[int, ...]) -> dict[str, Any]:
    refused = {str(status): {"description": _MEANING[status], **_PROBLEM} for status in errors}
    return {**success, **refused}


_MEANING = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied, or a foreign Host or Origin",
    404: "pool_not_found, command_not_found, session_not_found, worker_not_found, not_found",
    408: "request_timeout: the request came too slowly",
    410: "session_expired or session_lost",
    413: "payload_too_large",
    422: "command_failed: the command raised",
    429: "resource_exhausted: Python pool is at capacity; see retry_after_ms",
    431: "header_too_large",
    499: "cancelled",
    500: "internal",
    502: "worker_crashed, out_of_memory, result_too_large",
    503: "unavailable: no worker could come in time",
    504: "timeout: the command has been killed",
}

_EXECUTED = {
    "200": {
        "description": "The command's result, untouched; or its events, when asked for.",
        "headers": {
            "Pythonpool-Execution-Id": {"schema": {"type": "string"}},
            "Pythonpool-Worker": {"schema": {"type": "string"}},
            "Server-Timing": {"schema": {"type": "string"}},
            "Pythonpool-Streaming": {
                "description": "?1: the events are those of a generator command",
                "schema": {"type": "string"},
            },
        },
        "content": {
            _JSON: {"schema": {}},
            _OCTETS: {"schema": {"type": "string", "contentMediaType": _OCTETS}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    }
}


def _execute(name: str, summary: str, *parameters: dict[str, Any]) -> Operation:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [*parameters, *_TIMES, _TRACE],
        "requestBody": {
            "description": "The args: an object of name and value, or one bytes argument.",
            "content": {
                _JSON: {"schema": {"type": "object"}},
                _OCTETS: {"schema": {"type": "string", "contentMediaType": _OCTETS}},
            },
        },
        "responses": _answers(_EXECUTED, _EXECUTE_ERRORS),
    }


def _get(name: str, summary: str, schema: dict[str, Any], *parameters: dict[str, Any]) -> Operation:
    success = {"200": {"description": "OK", "content": {_JSON: {"schema": schema}}}}
    extra = (503,) if name == "listCommands" else (410, 502) if name == "showSession" else ()
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": _answers(success, (*_COLD_ERRORS, *extra)),
    }


def _items(schema: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    properties = {"items": {"type": "array", "items": schema}, **more}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _sessions() -> dict[str, Operation]:
    by_pool = {"name": "pool", "in": "query", "schema": ref("PoolName")}
    listed = _items(ref("Session"), incomplete={"type": "boolean"})
    created = {
        "201": {
            "description": "Open.",
            "headers": {"Location": {"schema": {"type": "string"}}},
            "content": {_JSON: {"schema": ref("Session")}},
            "links": {
                operation: {
                    "operationId": operation,
                    "parameters": {"session": "$response.body#/session_id"},
                }
                for operation in ("showSession", "executeInSession", "deleteSession")
            },
        }
    }
    errors = (400, 401, 403, 404, 408, 413, 422, 429, 499, 500, 502, 503, 504)
    body = {"required": True, "content": {_JSON: {"schema": ref("SessionRequest")}}}
    return {
        "get": _get("listSessions", "The caller's own sessions.", listed, by_pool),
        "post": {
            "operationId": "createSession",
            "summary": "Open a session.",
            "requestBody": body,
            "responses": _answers(created, errors),
        },
    }


def _delete_session() -> Operation:
    gone = {"204": {"description": "Deleted; a running call of it was cancelled."}}
    return {
        "operationId": "deleteSession",
        "summary": "End a session.",
        "parameters": [_SESSION],
        "responses": _answers(gone, (*_COLD_ERRORS, 410, 502)),
    }


def _recycle() -> Operation:
    body = {"content": {_JSON: {"schema": {"type": "object"}}}}
    taken = {"202": {"description": "It will be replaced, then drained.", **body}}
    return {
        "operationId": "recycleWorker",
        "summary": "Replace a worker, then drain it.",
        "parameters": [_POOL, _WORKER],
        "responses": _answers(taken, (*_COLD_ERRORS, 502, 503)),
    }


def _open(name: str, summary: str, content: str, *errors: int) -> Operation:
    success = {"200": {"description": "OK", "content": {content: {"schema": {}}}}}
    failed = {str(status): {"description": "Not ready."} for status in errors}
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {**success, **failed},
    }


def _metrics() -> Operation:
    shown = _open("metrics", "Prometheus metrics.", "text/plain")
    del shown["security"]
    shown["responses"] = _answers(shown["responses"], (401,))
    return shown


def _paths() -> dict[str, Any]:
    pool = "/v1/pools/{pool}"
    by_name = _execute("execute", "Run a command on a pool.", _POOL, _COMMAND)
    picked = _execute("executeAnywhere", "Run a command; the router picks the pool.", _COMMAND)
    in_session = _execute("executeInSession", "Run on a session's state.", _SESSION, _COMMAND)
    one = _get("showSession", "One session; does not renew it.", ref("Session"), _SESSION)
    pools = _get("listPools", "All pools.", _items(ref("Pool")))
    commands = _get("listCommands", "What the adapter offers.", _items(ref("Command")), _POOL)
    workers = _get("listWorkers", "The pool's workers.", _items(ref("Worker")), _POOL)
    return {
        f"{pool}/execute/{{command}}": {"post": by_name},
        "/v1/execute/{command}": {"post": picked},
        "/v1/sessions": _sessions(),
        "/v1/sessions/{session}": {"get": one, "delete": _delete_session()},
        "/v1/sessions/{session}/execute/{command}": {"post": in_session},
        "/v1/pools": {"get": pools},
        pool: {"get": _get("showPool", "One pool.", ref("Pool"), _POOL)},
        f"{pool}/commands": {"get": commands},
        f"{pool}/workers": {"get": workers},
        f"{pool}/workers/{{worker}}/recycle": {"post": _recycle()},
        "/livez": {"get": _open("livez", "Is this process alive?", _JSON)},
        "/readyz": {"get": _open("readyz", "Does any pool serve?", _JSON, 503)},
        "/version": {"get": _open("version", "The release.", _JSON)},
        "/openapi.json": {"get": _open("openapi", "This document.", _JSON)},
        "/metrics": {"get": _metrics()},
    }


@cache
def document() -> dict[str, Any]:
    """The whole document; do not change what is returned."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pythonpool",
            "summary": "Calls and sessions on pools of warm Python workers.",
            "version": version("pythonpool"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": COMPONENTS,
        },
    }
