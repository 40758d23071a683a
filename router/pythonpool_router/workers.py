"""What the router knows about one worker: its state, its slots, and the hint of which are free.

Told by the link; asked by dispatch. The worker itself is the judge: all of this is hints.
"""

from typing import TYPE_CHECKING, Any

from pythonpool_router import said
from pythonpool_router.line import SessionLine

if TYPE_CHECKING:
    from pythonpool_router.link import Link
    from pythonpool_router.pools import Pool

_COUNTS = ("busy", "yours", "sessions", "session_room", "memory_bytes", "calls", "generation")


class Worker:
    """One life of a worker: a name and an incarnation.

    Attributes:
        state: `starting`, `ready`, `draining` or `failed`.
        free: slots that may take a call; a hint.
        protocol: version of the link's protocol that both sides speak.
        replace: why it asks to be replaced, in one word; empty: it does not.
        others: slots held for other routers, at the last news.
        passes_on: it tells the other routers how many calls wait here.
        told_line: how many calls wait here, as this worker was told.
        routers: that are linked to it.
        elsewhere: calls that wait at the other routers, as they told it.
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
        self.passes_on = False
        self.told_line = 0
        self.routers = 1
        self.elsewhere = 0
        self.sessions = 0
        self.session_room = 0
        self.memory_bytes = 0
        self.calls = 0
        self.generation = 0
        self.protocol = 0
        self.replace = ""
        self.started_at: float | str = 0.0
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

    @property
    def taken(self) -> int:
        """Slots that calls hold, of this router and of others."""
        return max(self.slots - self.free, 0) if self.state == "ready" else self.busy

    def set_free(self, free: int) -> None:
        """Note how many slots may be free, here and in the pool's set of such workers."""
        self.free = free
        if free > 0 and self.state == "ready" and self.link is not None:
            self.pool.idle[self] = None
        else:
            self.pool.idle.pop(self, None)

    def take_slot(self) -> None:
        """A call was sent: one slot less may be free."""
        free = self.free - 1
        if free > 0:
            self.free = free
        else:
            self.set_free(0)

    def give_slot(self) -> None:
        """A call is over: one slot more may be free."""
        free = self.free
        if 0 < free < self.slots:
            self.free = free + 1
        else:
            self.set_free(min(free + 1, self.slots))

    def learn(self, status: dict[str, Any], in_flight: int) -> None:
        """Take the news of a STATUS; `in_flight`: this router's calls there that hold a slot.

        Raises:
            KeyError, TypeError, ValueError: it is not what a STATUS must be.
        """
        told = [said.number(status[name]) for name in _COUNTS]
        slots = said.number(status["slots"], most=said.MAX_SLOTS)
        exits, ends = said.totals(status.get("exits")), said.totals(status.get("session_ends"))
        started_at = said.moment(status.get("started_at", self.started_at))
        replace = said.word(status.get("replace") or "")
        routers = said.number(status.get("routers", 1))
        elsewhere = said.number(status.get("elsewhere", 0))
        self.state = said.state(status["state"])
        self.replace = replace
        busy, yours, self.sessions, self.session_room, self.memory_bytes, self.calls = told[:6]
        self.generation = told[6]
        self.slots, self.busy = slots, busy
        self.others = max(busy - yours, 0)
        self.routers, self.elsewhere = routers, elsewhere
        self.started_at = started_at
        self.exits, self.session_ends = exits, ends
        self.set_free(max(slots - self.others - in_flight, 0))
