"""What the router knows about one worker: its state, its slots, and the hint of which are free.

Told by the link; asked by dispatch. The worker itself is the judge: all of this is hints.
"""

from typing import TYPE_CHECKING, Any

from pythonpool_router.line import SessionLine

if TYPE_CHECKING:
    from pythonpool_router.link import Link
    from pythonpool_router.pools import Pool


class Worker:
    """One life of a worker: a name and an incarnation.

    Attributes:
        state: `starting`, `ready`, `draining` or `failed`.
        free: slots that may take a call; a hint.
        others: slots held for other routers, at the last news.
        is_enlisted: the worker knows that calls wait here, and will offer a slot.
        waiting: session calls that wait for this worker.
        link: the connection, None while there is none.
    """

    def __init__(self, pool: "Pool", name: str, incarnation: str) -> None:
        self.pool = pool
        self.name = name
        self.name_bytes = name.encode()
        self.incarnation = incarnation
        self.link: Link | None = None
        self.waiting = SessionLine()
        self.state = "starting"
        self.slots = 0
        self.busy = 0
        self.free = 0
        self.others = 0
        self.is_enlisted = False
        self.sessions = 0
        self.session_room = 0
        self.memory_bytes = 0
        self.calls = 0
        self.generation = 0
        self.started_at = 0.0
        self.pid = 0
        self.catalogue: dict[str, dict[str, Any]] = {}
        self.exits: dict[str, int] = {}
        self.session_ends: dict[str, int] = {}

    @property
    def is_linked(self) -> bool:
        """Whether its connection stands."""
        return self.link is not None

    @property
    def is_ready(self) -> bool:
        """Whether it takes calls of everybody."""
        return self.link is not None and self.state == "ready"

    def set_free(self, free: int) -> None:
        """Note how many slots may be free, here and in the pool's set of such workers."""
        self.free = free
        if free > 0 and self.state == "ready" and self.link is not None:
            self.pool.idle[self] = None
        else:
            self.pool.idle.pop(self, None)

    def learn(self, status: dict[str, Any], in_flight: int) -> None:
        """Take the news of a STATUS; `in_flight`: this router's calls there that hold a slot.

        Raises:
            KeyError, TypeError, ValueError: it is not what a STATUS must be.
        """
        state = status["state"]
        if state not in ("starting", "ready", "draining", "failed"):
            raise ValueError(f"the state {state!r} of a worker")
        slots, busy, yours = int(status["slots"]), int(status["busy"]), int(status["yours"])
        self.state = state
        self.slots, self.busy = slots, busy
        self.others = max(busy - yours, 0)
        self.sessions = int(status["sessions"])
        self.session_room = int(status["session_room"])
        self.memory_bytes = int(status["memory_bytes"])
        self.calls = int(status["calls"])
        self.generation = int(status["generation"])
        self.started_at = status.get("started_at", self.started_at)
        self.exits = _totals(status.get("exits"))
        self.session_ends = _totals(status.get("session_ends"))
        self.set_free(max(slots - self.others - in_flight, 0))


def _totals(value: Any) -> dict[str, int]:
    return {str(key): int(total) for key, total in value.items()} if value else {}
