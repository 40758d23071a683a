"""Sockets that a router listens on: Unix paths of its own, inherited ones, TCP ports."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pythonpool_router.linktls import LinkCertificate
from pythonpool_router.settings import Place

_BACKLOG = 4096
_HANDSHAKE_SECONDS = 5.0

Factory = Callable[[], asyncio.Protocol]


def unix_listener(path: Path) -> socket.socket:
    """A fresh 0600 Unix socket at `path`, in the place of one that a dead router left."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def tcp_listeners(place: Place) -> list[socket.socket]:
    """A TCP port, on each family of its host; of all hosts without one."""
    found = socket.getaddrinfo(
        place.host or None, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    families = {row[0] for row in found if _is_spoken(row[0])}
    return [_tcp_listener(row[0], row[4]) for row in dict.fromkeys(found) if row[0] in families]


def _is_spoken(family: int) -> bool:
    """Names of hosts are told in both families, also where the kernel has only one."""
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _tcp_listener(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)
    return listener


async def on_unix(factory: Factory, path: Path) -> asyncio.Server:
    """Links at a fresh Unix socket."""
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(factory, sock=unix_listener(path), backlog=_BACKLOG)


async def on_tls(factory: Factory, place: Place, certificate: Path) -> asyncio.Server:
    """A TCP port that speaks TLS with the certificate of that folder."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        factory,
        place.host or None,
        place.port,
        backlog=_BACKLOG,
        ssl=LinkCertificate(certificate).context,
        ssl_handshake_timeout=_HANDSHAKE_SECONDS,
    )
