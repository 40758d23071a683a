"""Pools, workers and calls of a router's inside, for tests without a network."""

from typing import Any

from router_house import spec

from pythonpool.errors import PythonPoolError
from pythonpool.names import SessionHandle
from pythonpool_router.call import Call, Reply
from pythonpool_router.pools import ListedPool, Pool, Pools


class Heard(Reply):
    """A caller's end that remembers what it was told."""

    def __init__(self) -> None:
        self.error: PythonPoolError | None = None
        self.body: list[bytes] = []
        self.asked_for_more = 0

    def began(self, call: Call) -> None:
        self.body.append(b"began")

    def progress(self, payload: bytes) -> None:
        self.body.append(payload)

    def chunk(self, more: bool, text: bytes) -> None:
        self.body.append(text)

    def result(self, call: Call, octets: bool, total: int, first: bytes) -> None:
        self.body.append(first)

    def data(self, part: bytes) -> None:
        self.body.append(part)

    def end(self) -> None:
        self.body.append(b"end")

    def failed(self, call: Call, error: PythonPoolError) -> None:
        self.error = error

    def read_on(self) -> None:
        self.asked_for_more += 1


class Listed:
    """A source of pools that is a list."""

    def __init__(self, *pools: ListedPool) -> None:
        self.pools = list(pools)

    def read(self) -> list[ListedPool]:
        return self.pools


def listed(name: str, **changes: Any) -> ListedPool:
    """A pool as its source tells it; `changes` are of its spec."""
    return ListedPool(name, 1, spec(**changes), "s3cret")


def pools_of(*rows: ListedPool) -> Pools:
    """A table of pools that was read."""
    pools = Pools(Listed(*rows))
    pools.read()
    return pools


def call_in(pool: Pool, since: float, session: SessionHandle | None = None) -> Call:
    """A call of that age."""
    call = Call(pool, "echo", 0, 1000, b"me", Heard())
    call.since = since
    call.session = session
    return call
