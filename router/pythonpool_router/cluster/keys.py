"""The cluster's public keys: fetched at the start, each hour, and for a token of an unknown one."""

import asyncio
import contextlib
import random

from pythonpool_router.cluster.api import ApiError, ApiServer, pause
from pythonpool_router.cluster.tokens import Verifier
from pythonpool_router.logs import Logger

_log = Logger()

_ISSUER = "/.well-known/openid-configuration"
_KEYS = "/openid/v1/jwks"
_FRESH_SECONDS = 3600.0
_MIN_SECONDS = 60.0
_REFUSALS = (401, 403, 404)


class KeyFetcher:
    """Teaches a verifier, in a task of its own; while nothing can be fetched the old keys stay.

    Attributes:
        known: set once they have come, or were refused.
        are_refused: this router may not read them, or there are none to be read.
    """

    def __init__(self, server: ApiServer, verifier: Verifier) -> None:
        self._server = server
        self._verifier = verifier
        self._wanted = asyncio.Event()
        self.known = asyncio.Event()
        self.are_refused = False

    def want(self) -> None:
        """A token has a key that is not known: fetch soon, at most once a minute."""
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                await self.fetch()
            except (ApiError, ValueError, KeyError) as error:
                self._failed(error)
                if not failures:
                    _log.warning("the cluster's keys can not be fetched", why=str(error))
                await asyncio.sleep(pause(failures, random.uniform(0.8, 1.2)))  # noqa: S311
                failures += 1
                continue
            failures = 0
            await asyncio.sleep(_MIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FRESH_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311
                    await self._wanted.wait()

    async def fetch(self) -> None:
        """Once, now.

        Raises:
            ApiError, ValueError, KeyError: there is no good answer.
        """
        self._wanted.clear()
        issuer = await self._server.get(_ISSUER)
        self._verifier.learn(issuer["issuer"], await self._server.get(_KEYS))
        self.are_refused = False
        self.known.set()

    def _failed(self, error: Exception) -> None:
        self.are_refused = isinstance(error, ApiError) and error.status in _REFUSALS
        if self.are_refused:
            self.known.set()
