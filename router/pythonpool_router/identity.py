"""Who dials in: the pool that a worker belongs to, told by what it can prove."""

import asyncio
import hmac
from typing import Any, Protocol

from pythonpool_router.pools import Pool, Pools


class HelloRefused(Exception):
    """The HELLO is not one that this router takes; the connection is closed."""


class HelloHeld(Exception):
    """Whose worker it is will be known when `until` is done: then it is asked again."""

    def __init__(self, until: asyncio.Future[None]) -> None:
        super().__init__("it is being found out whose worker this is")
        self.until = until


class Identity(Protocol):
    """A part of the seam of link transports: a secret over a Unix socket, a token over TLS."""

    def pool_of(self, hello: dict[str, Any]) -> Pool:
        """The pool of the worker that says this HELLO.

        Raises:
            HelloRefused: it has not proved to be of one.
            HelloHeld: that takes a moment.
            KeyError, TypeError, ValueError: it is no HELLO.
        """
        ...


class PoolSecrets:
    """One machine: who knows a pool's secret is a worker of it."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def pool_of(self, hello: dict[str, Any]) -> Pool:
        """The pool whose secret it is.

        Raises:
            HelloRefused: it is not.
            KeyError: a member is missing.
        """
        pool = self._pools.by_name.get(hello["pool"])
        secret = str(hello["secret"]).encode()
        # Compared even when there is no such pool, so that the time taken tells nothing.
        expected = pool.secret if pool is not None else b"?"
        if not hmac.compare_digest(secret, expected) or pool is None:
            raise HelloRefused(f"the secret of a worker of {hello['pool']!r} is wrong")
        return pool
