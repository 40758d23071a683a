"""Whose pod a token speaks for, by asking the API server: where its public keys can not be read.

An answer is remembered for some minutes at the most, and never beyond the token's own end.
"""

import asyncio
import hashlib
import time

from pythonpool_router.cluster.api import ApiError, ApiServer, Json
from pythonpool_router.cluster.tokens import Claimed, PodIdentity, TokenRefused
from pythonpool_router.identity import HelloHeld
from pythonpool_router.logs import Logger

_log = Logger()

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_EXTRA = "authentication.kubernetes.io/"
_GOOD_SECONDS = 180.0
_BAD_SECONDS = 10.0
_MOST_KEPT = 10_000
_MOST_AT_ONCE = 32


class Reviews:
    """TokenReviews of one audience."""

    def __init__(self, server: ApiServer, audience: str) -> None:
        self._server = server
        self._audience = audience
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[bytes, asyncio.Task[None]] = {}
        # The reason of a refusal, empty for a good one; and until when it holds.
        self._known: dict[bytes, tuple[str, float]] = {}

    def check(self, token: str, claimed: Claimed) -> None:
        """Return when the API server vouches for what the token claims.

        Raises:
            HelloHeld: it is being asked.
            TokenRefused: it does not, or can not be asked.
        """
        key = hashlib.sha256(token.encode()).digest()
        refusal, until = self._known.get(key, ("", 0.0))
        if self._loop.time() < until:
            if refusal:
                raise TokenRefused(refusal)
            return
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= _MOST_AT_ONCE:
                raise TokenRefused("too many tokens are being reviewed")
            task = self._loop.create_task(self._review(key, token, claimed))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        raise HelloHeld(task)

    def close(self) -> None:
        """Ask no more."""
        for task in list(self._under_way.values()):
            task.cancel()

    async def _review(self, key: bytes, token: str, claimed: Claimed) -> None:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            status = (await self._server.post(_PATH, body))["status"]
            refusal = _refusal(status, self._audience, claimed.identity)
        except (ApiError, KeyError, TypeError, AttributeError) as error:
            _log.warning("a token can not be reviewed", why=str(error))
            refusal = f"the token can not be reviewed: {error}"
        left = claimed.ends - time.time()
        # Long enough to be read by those who wait, whatever this machine's clock says.
        good = max(1.0, min(_GOOD_SECONDS, left))
        self._keep(key, refusal, _BAD_SECONDS if refusal else good)

    def _keep(self, key: bytes, refusal: str, seconds: float) -> None:
        self._known.pop(key, None)
        self._known[key] = (refusal, self._loop.time() + seconds)
        if len(self._known) > _MOST_KEPT:
            del self._known[next(iter(self._known))]


def _refusal(status: Json, audience: str, claimed: PodIdentity) -> str:
    """Why a TokenReview's status does not bear out what the token claims; empty: it does."""
    if status.get("authenticated") is not True:
        return f"the API server refuses the token: {status.get('error') or 'no reason given'}"
    # One that knows no audiences would take any token of the cluster.
    if audience not in (status.get("audiences") or ()):
        return "the token is of another audience"
    user = status["user"]
    extra = user.get("extra") or {}
    account = f"system:serviceaccount:{claimed.namespace}:{claimed.account}"
    said = (user["username"], extra.get(f"{_EXTRA}pod-name"), extra.get(f"{_EXTRA}pod-uid"))
    if said != (account, [claimed.pod], [claimed.uid]):
        return "the token is not of the pod that it names"
    return ""
