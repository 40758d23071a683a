"""The API server, and nothing else: reads, server-side apply, events.

The token is read again when its file has changed.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from pythonpool_operator.kinds import MANAGER, POOL, Json, Kind
from pythonpool_operator.settings import Api

_PARALLEL = 16
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_PAGE = 200
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """The API server has refused, or could not be reached (status 0).

    Attributes:
        status: HTTP status.
        reason: Kubernetes' word, e.g. `AlreadyExists`.
        message: Kubernetes' own sentence.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_permanent(self) -> bool:
        """Whether the same request would be refused again: the manifest itself is wrong."""
        # A manifest that does not fit the schema is a 500 in a server-side apply.
        return self.status in (400, 422) or (
            self.status == 500 and "failed to create typed patch object" in self.message
        )


class Cluster:
    """What the operator asks of the API server. Made by `connect`."""

    def __init__(self, api: Api) -> None:
        self.server = api.server
        self._ssl = ssl.create_default_context(cafile=api.ca_file)
        self._bearer = (Bearer(api.token_file),) if api.token_file else ()
        self._session = self.new_session()
        self._room = asyncio.Semaphore(_PARALLEL)

    def new_session(self) -> aiohttp.ClientSession:
        """A session with the API server, for the caller to close."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl),
            middlewares=self._bearer,
            headers={"User-Agent": MANAGER},
        )

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    async def whoami(self) -> None:
        """Ask for something that only needs a valid token.

        Raises:
            ApiError: 401 when there is none.
        """
        await self._ask("GET", f"/apis/{POOL.group}")

    async def apply(self, kind: Kind, manifest: Json, before: Json | None) -> Json:
        """Server-side apply as our one field manager; returns the live object.

        Args:
            before: the object as it was known. Another one of its name that came in between is
                left alone (409), and so is the first one where there was none.
        """
        meta = manifest["metadata"]
        params = {"fieldManager": MANAGER, "force": "true" if before else "false"}
        if before:
            manifest = manifest | {"metadata": meta | {"uid": before["metadata"]["uid"]}}
        path = kind.path(meta["namespace"], meta["name"])
        return await self._ask("PATCH", path, manifest, _APPLY, params)

    async def apply_status(self, kind: Kind, manifest: Json) -> Json:
        """Server-side apply of the status subresource."""
        meta = manifest["metadata"]
        params = {"fieldManager": MANAGER, "force": "true"}
        path = kind.path(meta["namespace"], meta["name"]) + "/status"
        return await self._ask("PATCH", path, manifest, _APPLY, params)

    async def annotate(
        self, kind: Kind, namespace: str, name: str, annotations: dict[str, str]
    ) -> Json:
        """Set annotations of an object that is somebody else's; returns the live object."""
        body = {"metadata": {"annotations": annotations}}
        return await self._ask("PATCH", kind.path(namespace, name), body, _MERGE)

    async def merge(self, kind: Kind, before: Json, change: Json) -> Json:
        """Change some fields of an object that others own too; 409: it is not as it was."""
        meta = before["metadata"]
        version = {"resourceVersion": meta["resourceVersion"]}
        body = change | {"metadata": change.get("metadata", {}) | version}
        path = kind.path(meta["namespace"], meta["name"])
        return await self._ask("PATCH", path, body, _MERGE, {"fieldManager": MANAGER})

    async def apply_crd(self, manifest: Json) -> None:
        """Server-side apply of a CustomResourceDefinition."""
        path = f"/apis/{manifest['apiVersion']}/customresourcedefinitions"
        params = {"fieldManager": MANAGER, "force": "true"}
        await self._ask("PATCH", f"{path}/{manifest['metadata']['name']}", manifest, _APPLY, params)

    async def create(self, kind: Kind, manifest: Json) -> Json:
        """Create an object."""
        path = kind.path(manifest["metadata"]["namespace"])
        return await self._ask("POST", path, manifest, "application/json")

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """A live object, or None."""
        try:
            return await self._ask("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def items(self, kind: Kind, namespace: str, selector: str) -> AsyncIterator[Json]:
        """All objects that the label selector fits; of all namespaces when that is empty."""
        async for item in self._pages(kind, namespace, selector, "application/json"):
            # Items of a list do not say what they are.
            yield {"apiVersion": kind.api_version, "kind": kind.kind} | item

    async def names(
        self, kind: Kind, namespace: str, selector: str, *, is_cached: bool = False
    ) -> dict[tuple[str, str], str]:
        """uid by (namespace, name) of all that the label selector fits; no contents are sent.

        `is_cached`: as the API server remembers them, which costs it next to nothing.
        """
        found: dict[tuple[str, str], str] = {}
        async for item in self._pages(kind, namespace, selector, _METADATA_LIST, is_cached):
            meta = item["metadata"]
            found[meta.get("namespace", ""), meta["name"]] = meta["uid"]
        return found

    async def _pages(
        self, kind: Kind, namespace: str, selector: str, accept: str, is_cached: bool = False
    ) -> AsyncIterator[Json]:
        how = {"resourceVersion": "0"} if is_cached else {"limit": str(_PAGE)}
        params = {"labelSelector": selector, **how}
        while True:
            page = await self._ask("GET", kind.path(namespace), params=params, accept=accept)
            for item in page.get("items") or ():
                yield item
            following = page["metadata"].get("continue")
            if not following:
                return
            params = params | {"continue": following}

    async def _ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "",
        params: dict[str, str] | None = None,
        accept: str = "application/json",
    ) -> Json:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {})
        try:
            async with (
                self._room,
                self._session.request(
                    method,
                    self.server + path,
                    data=None if body is None else orjson.dumps(body),
                    params=params,
                    headers=headers,
                    timeout=_TIMEOUT,
                ) as response,
            ):
                answer: Any = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ApiError(0, "Unreachable", f"{self.server}: {error!r}") from error
        if response.status >= 400:
            said = answer if isinstance(answer, dict) else {}
            raise ApiError(response.status, said.get("reason", ""), said.get("message", ""))
        return dict(answer)


class Bearer:
    """Puts the token of a file into every request; the file is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0)
        self._header = ""

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """A client middleware."""
        request.headers["Authorization"] = self._current()
        return await handler(request)

    def _current(self) -> str:
        # Kubernetes swaps a link; stat follows it, so both numbers change with a new token.
        facts = self._path.stat()
        if (facts.st_mtime_ns, facts.st_ino) != self._seen:
            self._header = f"Bearer {self._path.read_text().strip()}"
            self._seen = (facts.st_mtime_ns, facts.st_ino)
        return self._header


@asynccontextmanager
async def connect(api: Api) -> AsyncIterator[Cluster]:
    """The API server, until the block ends.

    Raises:
        OSError: the CA file can not be read.
    """
    cluster = Cluster(api)
    try:
        yield cluster
    finally:
        await cluster.close()
