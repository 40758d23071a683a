"""Sockets that a router listens on: Unix paths of its own, inherited ones, TCP ports."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from pythonpool_router.linktls import LinkCertificate
from pythonpool_router.settings import Place

_BACKLOG = 4096
_HANDSHAKE_SECONDS = 5.0

Factory = Callable[[], asyncio.Protocol]


async def on_unix(factory: Factory, path: Path) -> asyncio.Server:
    """A fresh 0600 Unix socket at `path`, in the place of one that a dead router left."""
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(factory, sock=_unix_listener(path), backlog=_BACKLOG)


async def on_descriptor(factory: Factory, descriptor: int) -> asyncio.Server:
    """The inherited TCP listener of that number."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    return await loop.create_server(factory, sock=listener, backlog=_BACKLOG)


async def on_tcp(factory: Factory, place: Place) -> asyncio.Server:
    """A TCP port."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(factory, place.host or None, place.port, backlog=_BACKLOG)


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


def _unix_listener(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener
