"""The API server, and nothing else: GET, POST, and a watch as a stream of events.

The token is read again when its file has changed.
"""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

Json = dict[str, Any]

_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# Bookmarks come about once a minute: without a byte for so long the connection is dead.
_SILENCE_SECONDS = 150.0
_MAX_EVENT = 4 * 1_048_576


class ApiError(Exception):
    """The API server has refused, or could not be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}" if status else message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Where the API server is, and who we are there.

    Attributes:
        server: its URL.
        token: a bearer token that stays; empty: that of the file.
        token_file: read again when it changes; None: no token.
        ca_file: certificates that it may show; None: those of the system.
    """

    server: str
    token: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None


def api_of_pod() -> Api:
    """As the kubelet tells every pod.

    Raises:
        ValueError: this is no pod.
    """
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    if not host:
        raise ValueError("KUBERNETES_SERVICE_HOST is not set: outside of a pod give --kubeconfig")
    server = f"https://[{host}]:{port or 443}" if ":" in host else f"https://{host}:{port or 443}"
    return Api(server, token_file=_IN_POD / "token", ca_file=_IN_POD / "ca.crt")


def api_of_kubeconfig(path: Path) -> Api:
    """The current context of a kubeconfig; of credentials it may have a token or its file.

    Raises:
        OSError, ValueError: it can not be read, or has something else.
    """
    try:
        said = yaml.safe_load(path.read_text())
        context = _named(said["contexts"], said["current-context"])["context"]
        cluster = _named(said["clusters"], context["cluster"])["cluster"]
        user = _named(said["users"], context["user"])["user"]
        authority = cluster.get("certificate-authority")
        token_file = user.get("tokenFile")
        if not (user.get("token") or token_file) or "certificate-authority-data" in cluster:
            raise ValueError(f"{path} must have a token, and its authority as a file")
        return Api(
            cluster["server"].rstrip("/"),
            user.get("token", ""),
            path.parent / token_file if token_file else None,
            path.parent / authority if authority else None,
        )
    except (KeyError, TypeError, AttributeError, StopIteration, yaml.YAMLError) as error:
        raise ValueError(f"{path} must be a kubeconfig with a token: {error!r}") from error


class ApiServer:
    """Requests and watches; made inside the event loop, closed by its maker."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen = (0, 0)
        self._token = api.token
        context = ssl.create_default_context(cafile=api.ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), headers={"User-Agent": "pythonpool-router"}
        )

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    async def get(self, path: str, **params: str) -> Json:
        """The object at `path`.

        Raises:
            ApiError: there is no answer, or a refusal.
        """
        return await self._ask("GET", path, params=params)

    async def post(self, path: str, body: Json) -> Json:
        """What the API server makes of `body`.

        Raises:
            ApiError: there is no answer, or a refusal.
        """
        return await self._ask("POST", path, json=body)

    async def _ask(self, method: str, path: str, **content: Any) -> Json:
        url = self._api.server + path
        try:
            async with self._session.request(
                method, url, headers=self._headers(), timeout=_TIMEOUT, **content
            ) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ApiError(0, f"{url}: {error!r}") from error
        return _checked(response.status, answer)

    async def watch(self, path: str, seconds: int, **params: str) -> AsyncIterator[Json]:
        """The events of a watch, until the server ends it after about `seconds`, or falls silent.

        Raises:
            ApiError: it was refused, or the connection broke.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS)
        try:
            async with self._session.get(
                self._api.server + path,
                params=query | params,
                headers=self._headers(),
                timeout=timeout,
            ) as response:
                if response.status >= 400:
                    _checked(response.status, orjson.loads(await response.read()))
                with contextlib.suppress(aiohttp.SocketTimeoutError):
                    async for line in _lines(response.content):
                        yield orjson.loads(line)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ApiError(0, f"{self._api.server}{path}: {error!r}") from error

    def _headers(self) -> dict[str, str]:
        path = self._api.token_file
        if path is not None and not self._api.token:
            facts = path.stat()
            if (facts.st_mtime_ns, facts.st_ino) != self._seen:
                self._token = path.read_text().strip()
                self._seen = (facts.st_mtime_ns, facts.st_ino)
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to 4 MiB: `readline` has a limit that large objects break."""
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > _MAX_EVENT:
                raise ValueError(f"an event of more than {_MAX_EVENT} bytes")
            continue
        *lines, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in lines:
            if line:
                yield line


def _checked(status: int, answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise ApiError(status, "the answer is no object")
    if status >= 400:
        raise ApiError(status, str(answer.get("message") or answer.get("reason") or "refused"))
    return answer


def _named(rows: list[Json], name: str) -> Json:
    return next(row for row in rows if row["name"] == name)


def pause(failures: int, jitter: float) -> float:
    """Seconds before the next try: 0.25 doubling to 5, times `jitter` (0.8 to 1.2); endless."""
    return float(min(5.0, 0.25 * 2.0 ** min(failures, 10)) * jitter)
