"""Where the router is and which token it wants: arguments, environment, the `up` of this home.

Read by `Client`, `AsyncClient` and the command line; speaks to nobody.
"""

import json
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pythonpool.errors import InvalidArgument, Unauthenticated

DEFAULT_URL = "http://127.0.0.1:8080"
UP_FILE = "run/up.json"
# Mounted tokens are renewed under a running client (hourly in Kubernetes, the old one stays valid
# for minutes), so a file is looked at again after this many seconds.
TOKEN_AGE_SECONDS = 30.0
# Socket options of every connection: a router that vanished without a word (a machine or a NAT
# gone) is noticed after 60 s, also by a call that still waits in line.
KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


def home(environ: Mapping[str, str] | None = None) -> Path:
    """`PYTHONPOOL_HOME`, else `$XDG_STATE_HOME/pythonpool`, else `~/.local/state/pythonpool`."""
    env = os.environ if environ is None else environ
    if env.get("PYTHONPOOL_HOME"):
        return Path(env["PYTHONPOOL_HOME"])
    if env.get("XDG_STATE_HOME"):
        return Path(env["XDG_STATE_HOME"]) / "pythonpool"
    return Path(env.get("HOME") or Path.home()) / ".local" / "state" / "pythonpool"


def running_up(folder: Path) -> dict[str, Any] | None:
    """What the `up` of this home wrote about itself, or None when none is alive there."""
    try:
        said = json.loads((folder / UP_FILE).read_bytes())
        pid = int(said["pid"])
        os.kill(pid, 0)
    except PermissionError:
        return None  # neither readable nor ours
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if isinstance(said.get("url"), str) else None


@dataclass(slots=True)
class Credential:
    """The caller's token: given as text, or in a file that is read again as it ages."""

    text: str | None = None
    path: Path | None = None
    required: bool = False
    _read_at: float = field(default=float("-inf"), repr=False)

    def token(self) -> str | None:
        """The token, or None when there is none.

        Raises:
            Unauthenticated: the file that was named can not be read, or holds no token.
        """
        if self.path is not None and time.monotonic() - self._read_at > TOKEN_AGE_SECONDS:
            self.text = _read_token(self.path, self.required)
            self._read_at = time.monotonic()
        return self.text


@dataclass(frozen=True, slots=True)
class Connection:
    """One router as a client sees it: its base URL without a trailing slash, and the token."""

    url: str
    credential: Credential

    @property
    def base_path(self) -> str:
        """The path before `/v1`, e.g. `/team-a` behind an ingress; else empty."""
        return urlsplit(self.url).path

    def headers(self) -> dict[str, str]:
        """The headers that every request carries."""
        token = self.credential.token()
        return {"Authorization": f"Bearer {token}"} if token else {}


def resolve(
    url: str | None, token: str | None, environ: Mapping[str, str] | None = None
) -> Connection:
    """The connection that arguments, then environment, then this home's `up` describe.

    Raises:
        InvalidArgument: the URL is not `http(s)://HOST[:PORT][/PATH]`, or the token is not one
            line of printable ASCII.
    """
    env = os.environ if environ is None else environ
    return Connection(_checked_url(url or _default_url(env)), _credential(token, env))


def tls_context(url: str, ca_file: str | None) -> ssl.SSLContext | None:
    """How an https router is checked: by `ca_file`, else the system's (or `SSL_CERT_FILE`).

    Raises:
        InvalidArgument: the file is not there, or holds no certificates.
    """
    if not url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise InvalidArgument(
            f'ca_file "{ca_file}" must be a file of PEM certificates: {error.strerror or error}'
        ) from error


def _default_url(env: Mapping[str, str]) -> str:
    if env.get("PYTHONPOOL_URL"):
        return env["PYTHONPOOL_URL"]
    said = running_up(home(env))
    return str(said["url"]) if said else DEFAULT_URL


def _credential(token: str | None, env: Mapping[str, str]) -> Credential:
    text = token or env.get("PYTHONPOOL_TOKEN")
    if text:
        return Credential(_checked_token(text, "the token"))
    if env.get("PYTHONPOOL_TOKEN_FILE"):
        return Credential(path=Path(env["PYTHONPOOL_TOKEN_FILE"]), required=True)
    return Credential(path=home(env) / "token")


def _read_token(path: Path, required: bool) -> str | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if not required and isinstance(error, FileNotFoundError):
            return None
        raise Unauthenticated(
            f"the token file {path} can not be read ({error.strerror});"
            " set PYTHONPOOL_TOKEN or PYTHONPOOL_TOKEN_FILE"
        ) from error
    return _checked_token(text, f"the token in {path}")


def _checked_token(text: str, what: str) -> str:
    token = text.strip()
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise Unauthenticated(f"{what} must be one line of printable ASCII without spaces")
    return token


def _checked_url(url: str) -> str:
    wrong = InvalidArgument(f'url "{url}" must be http(s)://HOST[:PORT][/PATH]')
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    if parts.query or parts.fragment or parts.username is not None:
        raise wrong
    return url.rstrip("/")
