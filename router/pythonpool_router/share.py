"""How much of its pool's line one of several routers may fill. Pure.

`queue.maxLength` is the pool's. Routers do not know each other; the workers, to which all of them
are linked, tell each how many there are and how many calls wait at the others. What is left of the
line is divided evenly until the next news: so the routers together never fill more than all of it,
and a router that alone has callers comes to nearly all of it within a few news.
"""


class Share:
    """What this router knows of the others.

    Attributes:
        routers: that share the pool, this one too.
        others: calls that wait at the others, at the last news.
    """

    __slots__ = ("_mine", "others", "routers")

    def __init__(self) -> None:
        self.routers = 1
        self.others = 0
        self._mine = 0

    def learn(self, routers: int, others: int, mine: int) -> None:
        """The last news; `mine`: calls that wait here now."""
        self.routers = max(routers, 1)
        self.others = others
        self._mine = mine

    def room(self, length: int) -> int:
        """How many calls may wait here, of `length` for the pool."""
        if self.routers == 1:
            return length
        left = max(length - self.others - self._mine, 0)
        return self._mine + -(-left // self.routers)

    @property
    def refusing(self) -> int:
        """How many routers are likely to promise places now: those that have a line."""
        return self.routers if self.others else 1
