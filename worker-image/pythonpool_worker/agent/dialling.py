"""How a router is reached: a Unix socket on one machine, TLS in a cluster.

Knows addresses and files; what is said on the connection is the link's matter.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from pythonpool_worker.agent.addresses import Place, place_of
from pythonpool_worker.agent.link import Link

_log = logging.getLogger("pythonpool.agent")

_DIAL_SECONDS = 5.0
_MOST_COMPLAINTS = 100


class Dialler:
    """Opens connections.

    `ca_file` has the authority of the routers' certificates and is read again when it changes;
    `name` is what these certificates are for, whatever address is dialled.
    """

    def __init__(self, ca_file: Path | None, name: str | None) -> None:
        self._ca_file = ca_file
        self._name = name
        self._context: ssl.SSLContext | None = None
        self._seen = (0, 0)
        self._complaints: dict[str, str] = {}

    async def dial(self, address: str, make: Callable[[], Link]) -> Link | None:
        """A connection to that router; None: there is none, and the log says why, once."""
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                link = await self._dial(address, make)
        except (OSError, ValueError, TimeoutError) as error:
            if address.startswith("tls:"):
                self._complain(address, str(error) or "no answer")
            return None
        self._complaints.pop(address, None)
        return link

    async def look_up(self, service: Place) -> list[str]:
        """All IP addresses that DNS has for a service; none when it is not known (yet)."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                rows = await loop.getaddrinfo(service.host, service.port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            self._complain(service.host, str(error) or "no answer of DNS")
            return []
        self._complaints.pop(service.host, None)
        return [str(row[4][0]) for row in rows]

    async def _dial(self, address: str, make: Callable[[], Link]) -> Link:
        loop = asyncio.get_running_loop()
        place = place_of(address)
        if place is None:
            kind, _, path = address.partition(":")
            if kind != "unix" or not path:
                raise ValueError(f"router address {address!r} must be unix:PATH or tls:HOST:PORT")
            _, link = await loop.create_unix_connection(make, path)
            return link
        _, link = await loop.create_connection(
            make,
            place.host,
            place.port,
            ssl=self._tls(),
            server_hostname=self._name or place.host,
        )
        return link

    def _tls(self) -> ssl.SSLContext:
        if self._ca_file is None:
            raise ValueError("no --ca-file, which tells a router from a stranger")
        try:
            facts = self._ca_file.stat()
        except OSError:
            # Gone for a while, as when somebody deleted the ConfigMap: what it said still holds.
            if self._context is None:
                raise
            return self._context
        if self._context is None or (facts.st_mtime_ns, facts.st_ino) != self._seen:
            context = ssl.create_default_context(cafile=self._ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            self._context, self._seen = context, (facts.st_mtime_ns, facts.st_ino)
        return self._context

    def _complain(self, of: str, text: str) -> None:
        """Once for each new trouble: dialling goes on every second."""
        if self._complaints.get(of) != text:
            if len(self._complaints) >= _MOST_COMPLAINTS:
                self._complaints.clear()
            self._complaints[of] = text
            _log.warning("router not reached: %s: %s", of, text)
