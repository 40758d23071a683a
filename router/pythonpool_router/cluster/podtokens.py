"""Which pool a worker belongs to, by its pod's token: never by its own word."""

from typing import Any

from pythonpool_router.cluster.keys import KeyFetcher
from pythonpool_router.cluster.mirror import Mirror
from pythonpool_router.cluster.pods import Pod
from pythonpool_router.cluster.reviews import Reviews
from pythonpool_router.cluster.tokens import (
    PodIdentity,
    TokenRefused,
    UnknownKey,
    Verifier,
    read_unproved,
)
from pythonpool_router.identity import HelloRefused
from pythonpool_router.pools import Pool, Pools


class PodTokens:
    """Looks the token's pod up among the pods that are, and its pool by the pod's label.

    A pod that the watch does not know (yet) is refused; its agent dials again within a second.
    Where the cluster's keys are refused to this router, and `reviews` is given, it asks.
    """

    def __init__(
        self,
        namespace: str,
        verifier: Verifier,
        keys: KeyFetcher,
        pools: Pools,
        pods: Mirror[Pod],
        reviews: Reviews | None,
    ) -> None:
        self._namespace = namespace
        self._verifier = verifier
        self._keys = keys
        self._pools = pools
        self._pods = pods
        self._reviews = reviews

    def pool_of(self, hello: dict[str, Any]) -> Pool:
        """The pool of the worker that says HELLO.

        Raises:
            HelloRefused: the token is not that of a pod of a pool of this namespace.
            HelloHeld: the API server is being asked about it.
            KeyError: there is no token.
        """
        token = str(hello["token"])
        try:
            return self._proved(token, str(hello["worker"]))
        except TokenRefused as error:
            raise HelloRefused(str(error)) from None

    def _proved(self, token: str, worker: str) -> Pool:
        try:
            return self._pool(self._verifier.verify(token), worker)
        except UnknownKey:
            self._keys.want()
            if self._reviews is None or not self._keys.are_refused:
                raise
        claimed = read_unproved(token)
        # First what can be known here: strangers do not make this router ask.
        pool = self._pool(claimed.identity, worker)
        self._reviews.check(token, claimed)
        return pool

    def _pool(self, identity: PodIdentity, worker: str) -> Pool:
        if identity.namespace != self._namespace:
            raise HelloRefused(
                f"a pod of the namespace {identity.namespace}, not {self._namespace}"
            )
        pod = self._pods.items.get(identity.pod)
        if pod is None or (pod.uid, pod.account) != (identity.uid, identity.account):
            raise HelloRefused(f"no pod {identity.pod} of uid {identity.uid} is known here")
        if pod.state == "gone":
            raise HelloRefused(f"the pod {pod.name} has ended")
        if worker != pod.name:
            raise HelloRefused(f"the pod {pod.name} calls itself {worker!r:.80}")
        pool = self._pools.by_name.get(pod.pool)
        if pool is None:
            raise HelloRefused(f"the pod {pod.name} is of no pool that is known here: {pod.pool!r}")
        return pool
