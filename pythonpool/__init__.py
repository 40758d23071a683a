"""Pools of warm Python workers: what users import. Nothing is loaded before it is used."""

# Type checkers take this name for true; importing `typing` for it would cost 10 ms.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from pythonpool.aclient import AsyncClient, AsyncSession
    from pythonpool.adapter import Adapter, Context, command
    from pythonpool.client import Client, Session
    from pythonpool.errors import (
        Cancelled,
        CommandFailed,
        CommandNotFound,
        ExecutionLost,
        ExecutionNotFound,
        HeaderTooLarge,
        Internal,
        InvalidArgument,
        MethodNotAllowed,
        NotFound,
        OutOfMemory,
        PayloadTooLarge,
        PermissionDenied,
        PoolNotFound,
        PythonPoolError,
        RequestTimeout,
        ResourceExhausted,
        ResultTooLarge,
        SessionExpired,
        SessionLost,
        SessionNotFound,
        Timeout,
        Unauthenticated,
        Unavailable,
        WorkerCrashed,
        WorkerNotFound,
    )
    from pythonpool.http.streams import Event

    __version__: str

__all__ = [
    "Adapter",
    "AsyncClient",
    "AsyncSession",
    "Cancelled",
    "Client",
    "CommandFailed",
    "CommandNotFound",
    "Context",
    "Event",
    "ExecutionLost",
    "ExecutionNotFound",
    "HeaderTooLarge",
    "Internal",
    "InvalidArgument",
    "MethodNotAllowed",
    "NotFound",
    "OutOfMemory",
    "PayloadTooLarge",
    "PermissionDenied",
    "PoolNotFound",
    "PythonPoolError",
    "RequestTimeout",
    "ResourceExhausted",
    "ResultTooLarge",
    "Session",
    "SessionExpired",
    "SessionLost",
    "SessionNotFound",
    "Timeout",
    "Unauthenticated",
    "Unavailable",
    "WorkerCrashed",
    "WorkerNotFound",
    "__version__",
    "command",
]

_HOMES = {
    "Adapter": "adapter",
    "AsyncClient": "aclient",
    "AsyncSession": "aclient",
    "Client": "client",
    "Context": "adapter",
    "Event": "http.streams",
    "Session": "client",
    "command": "adapter",
}


if not TYPE_CHECKING:  # so that a type checker still sees a misspelt name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "__version__":
            value: object = import_module("importlib.metadata").version("pythonpool")
        elif name in __all__:
            value = getattr(import_module(f"pythonpool.{_HOMES.get(name, 'errors')}"), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
