"""What one listener serves, to whom: the checks before routing, and where requests go."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from pythonpool.errors import MethodNotAllowed, PayloadTooLarge, PermissionDenied
from pythonpool_router.access import Access, Caller
from pythonpool_router.dispatch import Dispatcher
from pythonpool_router.requests import Request
from pythonpool_router.responses import ResultHeads
from pythonpool_router.target import Target

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
ASGIApp = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

OPEN_PATHS = frozenset(("/livez", "/readyz", "/version", "/openapi.json", "/"))
"""Paths that need no token; so does everything under `/page/`."""

_PROBES = frozenset(("/livez", "/readyz", "/version", "/openapi.json", "/metrics"))
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/page/")


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may come in by this listener: Host, Origin, then the token, once a request.

    `hosts` None: by any name, as in a cluster, where nothing but the token says who comes.
    """

    access: Access
    hosts: frozenset[bytes] | None = None

    @staticmethod
    def of(access: Access, names: tuple[str, ...]) -> "Guard":
        """A guard that knows this machine and `names`."""
        hosts = (*_LOCAL_HOSTS, *(name.lower() for name in names))
        return Guard(access, frozenset(host.encode() for host in hosts))

    def check(self, request: Request, path: str) -> Caller | None:
        """The caller; None on paths that need no token.

        Raises:
            PermissionDenied: a foreign Host or Origin.
            Unauthenticated: no valid token.
        """
        named = request.named
        if self.hosts is not None and path not in _PROBES:
            host = named[b"host"]
            if host not in self.hosts and _host_name(host) not in self.hosts:
                raise PermissionDenied(
                    f'Host "{_shown(host)}" is not a name of this router; add it by --host'
                )
            origin = named.get(b"origin")
            if origin is not None and _host_name(origin.partition(b"://")[2]) not in self.hosts:
                raise PermissionDenied(f'Origin "{_shown(origin)}" is foreign to this router')
        if _is_open(path):
            return None
        return self.access.caller(named.get(b"authorization"))


def _shown(value: bytes) -> str:
    return value[:100].decode("ascii", "backslashreplace")


def _host_name(host: bytes) -> bytes:
    """A Host value without its port, in lower case."""
    name, colon, port = host.rpartition(b":")
    if colon and port.isdigit() and (not name.startswith(b"[") or name.endswith(b"]")):
        host = name
    return host.lower()


class Site:
    """One listener's side of the router; `dispatcher` is None where nothing is executed.

    Attributes:
        guard: None where no token is asked for (the monitoring port).
        is_draining: every answer closes its connection.
        date: the Date field's value, renewed twice a second.
        now: monotonic seconds at that time.
        heads: of the answers of calls that have ended well.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Guard | None,
        dispatcher: Dispatcher | None,
        max_body_bytes: int,
        state: dict[str, Any],
    ) -> None:
        self.app = app
        self.guard = guard
        self.dispatcher = dispatcher
        self.max_body_bytes = max_body_bytes
        self.state = state
        self.is_draining = False
        self.date = b""
        self.heads = ResultHeads(dispatcher.instance.encode() if dispatcher else b"")
        self.tick()

    def tick(self) -> None:
        """Renew the time."""
        self.now = time.monotonic()
        self.date = formatdate(time.time(), usegmt=True).encode()
        self.heads.renew(self.date)

    def admit(self, request: Request, target: Target) -> Caller | None:
        """All checks that need no body; the caller, None where nobody is asked for.

        Raises:
            PythonPoolError: who asks first, then what is asked for.
        """
        caller = self.guard.check(request, target.path) if self.guard is not None else None
        if target.error is not None:
            raise target.error
        if target.is_execute and request.method != b"POST":
            raise MethodNotAllowed(f"{request.method.decode()} is not POST, which executes")
        if request.length is not None and request.length > self.max_body_bytes:
            raise PayloadTooLarge(f"a body may have {self.max_body_bytes} bytes at most")
        return caller
