"""The objects of API.md 2 as JSON Schema, for the OpenAPI document."""

from typing import Any

from pythonpool.errors import BY_CODE

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_OBJECT: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


_POOL_NAME: Schema = {
    "type": "string",
    "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
    "maxLength": 40,
}

_PROBLEM = _object(
    {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": {"type": "string", "enum": sorted(BY_CODE)},
        "outcome": {"type": "string", "enum": ["not_started", "unknown", "finished"]},
    },
    {
        "execution_id": _TEXT,
        "retry_after_ms": _COUNT,
        "suggestion": _TEXT,
        "cause": _TEXT,
        "worker": _TEXT,
        "exception": _object({"type": _TEXT, "message": _TEXT}, {"traceback": _TEXT}),
        "stack": _TEXT,
        "limit_bytes": _COUNT,
        "peak_bytes": _COUNT,
    },
)

_POOL = _object(
    {
        "name": _TEXT,
        "adapter": _TEXT,
        "workers": _COUNT,
        "available": _COUNT,
        "busy": _COUNT,
        "total": _COUNT,
        "queued": _COUNT,
        "sessions": _COUNT,
        "ready": _FLAG,
        "conditions": {
            "type": "array",
            "items": _object({"type": _TEXT, "status": _TEXT, "reason": _TEXT, "message": _TEXT}),
        },
    }
)

_COMMAND = _object(
    {
        "name": _TEXT,
        "description": _TEXT,
        "args_schema": _OBJECT,
        "result_schema": {},
        "timeout_seconds": {"type": ["number", "null"]},
        "idempotent": _FLAG,
        "streaming": _FLAG,
    }
)

_WORKER = _object(
    {
        "name": _TEXT,
        "state": {"type": "string", "enum": ["starting", "ready", "draining", "failed"]},
        "slots": _COUNT,
        "busy": _COUNT,
        "sessions": _COUNT,
        "memory_bytes": _COUNT,
        "calls": _COUNT,
        "started_at": {"type": ["string", "null"], "format": "date-time"},
    },
    {"pid": _COUNT},
)

_SESSION = _object(
    {
        "session_id": _TEXT,
        "pool": _TEXT,
        "worker": _TEXT,
        "created_at": _TIME,
        "expires_at": _TIME,
        "ttl_seconds": {"type": "integer", "minimum": 1},
        "context": _OBJECT,
        "draining": _FLAG,
    }
)

_SESSION_REQUEST: Schema = {
    **_object(
        {"pool": _POOL_NAME},
        {
            "ttl_seconds": {"type": ["integer", "null"], "minimum": 1, "maximum": 604800},
            "context": {"type": ["object", "null"]},
        },
    ),
    "additionalProperties": False,
}

COMPONENTS: dict[str, Schema] = {
    "PoolName": _POOL_NAME,
    "CommandName": {"type": "string", "pattern": "^[a-z][a-z0-9_.-]{0,63}$"},
    "SessionId": {
        "type": "string",
        "pattern": "^[a-z0-9-]{1,40}\\.[a-z0-9-]{1,63}\\.[0-9a-f]{16}\\.[0-9a-f]{32}$",
    },
    "WorkerName": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    "Problem": _PROBLEM,
    "Pool": _POOL,
    "Command": _COMMAND,
    "Worker": _WORKER,
    "Session": _SESSION,
    "SessionRequest": _SESSION_REQUEST,
}
