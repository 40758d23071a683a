"""All pools of one `up`: started in parallel, changed when the files are read again."""

import asyncio
from collections.abc import Callable

from pythonpool.spec.normalised import needs_replacement
from pythonpool_local.ground import Ground
from pythonpool_local.order import Order
from pythonpool_local.pool import Loads, RunningPool


class Pools:
    """The pools that were ordered, and those that are being drained.

    Attributes:
        running: by name, in the order of the manifests; drained ones last.
    """

    def __init__(self, ground: Ground, loads: Loads, changed: Callable[[], None]) -> None:
        self.running: dict[str, RunningPool] = {}
        self._ground = ground
        self._loads = loads
        self._changed = changed
        self._orders: list[Order] = []
        self._ending: dict[str, asyncio.Task[None]] = {}

    @property
    def listed(self) -> list[RunningPool]:
        """All of them."""
        return list(self.running.values())

    @property
    def are_settled(self) -> bool:
        """Every pool is ready, Degraded or scaled to 0."""
        return all(pool.is_settled for pool in self.listed)

    def take(self, orders: list[Order]) -> None:
        """Become what these orders say: start, change and drain."""
        self._orders = orders
        wanted = {order.name for order in orders}
        for name, pool in self.running.items():
            if name not in wanted and name not in self._ending:
                self._drain(pool)
        for order in orders:
            if order.name not in self._ending:
                self._take_one(order)
        self._changed()

    async def end(self, grace_seconds: float) -> None:
        """Let every worker finish, for so long at most; afterwards no pool is left."""
        for task in self._ending.values():
            task.cancel()
        await asyncio.gather(*(pool.end(grace_seconds) for pool in self.listed))

    def _take_one(self, order: Order) -> None:
        pool = self.running.get(order.name)
        if pool is None:
            pool = RunningPool(self._ground, order, self._loads, self._changed)
            self.running[order.name] = pool
            pool.start()
            return
        old = pool.order
        if old == order:
            return
        replaces = old.folder != order.folder or needs_replacement(old.pool, order.pool)
        pool.take(order, replaces)
        what = "its workers are replaced" if replaces else "changed in place"
        self._ground.report(f"{order.name}: {what} (generation {pool.generation})")

    def _drain(self, pool: RunningPool) -> None:
        self._ground.report(f"{pool.name}: removed, its workers are drained")
        task = asyncio.create_task(pool.end(pool.order.grace_seconds))
        self._ending[pool.name] = task
        task.add_done_callback(lambda done: self._drained(pool.name, done))

    def _drained(self, name: str, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        del self._ending[name], self.running[name]
        # It may have been ordered again meanwhile.
        self.take(self._orders)
