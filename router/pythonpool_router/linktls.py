"""The routers' certificate for links, read again when its files change."""

import ssl
from pathlib import Path
from typing import Any

from pythonpool_router.logs import Logger

_log = Logger()


class LinkCertificate:
    """`tls.crt` and `tls.key` of a folder, as a Secret of type kubernetes.io/tls is mounted.

    `context` is for the listener: each handshake gets the certificate of the moment.
    """

    def __init__(self, folder: Path) -> None:
        self._certificate = folder / "tls.crt"
        self._key = folder / "tls.key"
        self._seen = self._facts()
        self._current = self._load()
        self.context = self._load()
        self.context.sni_callback = self._on_handshake

    def _on_handshake(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: Any
    ) -> None:
        """OpenSSL asks before it shows a certificate; a broken new one leaves the old one."""
        try:
            facts = self._facts()
            if facts != self._seen:
                self._seen = facts
                self._current = self._load()
                _log.info("the certificate for links was read again")
        except (OSError, ssl.SSLError):
            _log.exception("the new certificate for links can not be used; the old one stays")
        connection.context = self._current

    def _facts(self) -> tuple[int, ...]:
        facts = [path.stat() for path in (self._certificate, self._key)]
        return tuple(number for each in facts for number in (each.st_mtime_ns, each.st_ino))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._certificate, self._key)
        return context
