"""Which pool a worker belongs to, by its pod's token: never by its own word."""

from typing import Any

from pythonpool_router.cluster.keys import KeyFetcher
from pythonpool_router.cluster.mirror import Mirror
from pythonpool_router.cluster.pods import Pod
from pythonpool_router.cluster.tokens import TokenRefused, UnknownKey, Verifier
from pythonpool_router.identity import HelloRefused
from pythonpool_router.pools import Pool, Pools


class PodTokens:
    """Looks the token's pod up among the pods that are, and its pool by the pod's label.

    A pod that the watch does not know (yet) is refused; its agent dials again within a second.
    """

    def __init__(
        self,
        namespace: str,
        verifier: Verifier,
        keys: KeyFetcher,
        pools: Pools,
        pods: Mirror[Pod],
    ) -> None:
        self._namespace = namespace
        self._verifier = verifier
        self._keys = keys
        self._pools = pools
        self._pods = pods

    def pool_of(self, hello: dict[str, Any]) -> Pool:
        """The pool of the worker that says HELLO.

        Raises:
            HelloRefused: the token is not that of a pod of a pool of this namespace.
            KeyError: there is no token.
        """
        try:
            identity = self._verifier.verify(str(hello["token"]))
        except UnknownKey as error:
            self._keys.want()
            raise HelloRefused(str(error)) from None
        except TokenRefused as error:
            raise HelloRefused(str(error)) from None
        if identity.namespace != self._namespace:
            raise HelloRefused(
                f"a pod of the namespace {identity.namespace}, not {self._namespace}"
            )
        pod = self._pods.items.get(identity.pod)
        if pod is None or (pod.uid, pod.account) != (identity.uid, identity.account):
            raise HelloRefused(f"no pod {identity.pod} of uid {identity.uid} is known here")
        if pod.state == "gone":
            raise HelloRefused(f"the pod {pod.name} has ended")
        if hello["worker"] != pod.name:
            raise HelloRefused(f"the pod {pod.name} calls itself {hello['worker']!r:.80}")
        pool = self._pools.by_name.get(pod.pool)
        if pool is None:
            raise HelloRefused(f"the pod {pod.name} is of no pool that is known here: {pod.pool!r}")
        return pool
