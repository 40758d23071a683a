"""What the workers of a namespace do, out of the answers of its routers. Pure.

A router knows the workers that have dialled it; of what two know, the busier word counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pythonpool_operator.kinds import Json

_PATIENT = ("calls", "age")
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """One worker.

    Attributes:
        busy: calls that run.
        sessions: sessions that it holds.
        replace: why it is to be replaced, in one word; empty: it is not.
        protocol: version of the link that it speaks.
    """

    busy: int = 0
    sessions: int = 0
    replace: str = ""
    protocol: int = 0

    @property
    def weight(self) -> int:
        """What would be lost or waited for if it went."""
        return self.busy + self.sessions

    @property
    def may_go(self) -> bool:
        """Whether it asks to be replaced now: by calls and age it waits for its sessions' end."""
        return bool(self.replace) and not (self.replace in _PATIENT and self.sessions)


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """The workers of one pool by name.

    Attributes:
        workers: those that are linked to a router.
        refused: those that no router understands, with the versions that they speak.
        protocol: the versions that routers speak.
    """

    workers: Mapping[str, WorkerLoad] = field(default_factory=dict)
    refused: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    protocol: tuple[int, int] = (0, 0)

    @property
    def news(self) -> tuple[object, ...]:
        """What makes the operator look at the pool when it changes."""
        wishes = {name: each.may_go for name, each in self.workers.items() if each.replace}
        return wishes, dict(self.refused)


NOTHING = PoolLoad()

Loads = Mapping[str, PoolLoad]
"""The pools of a namespace by name."""


def read_load(answer: Json) -> Loads:
    """The pools of a namespace by name, as one router tells of them.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError: it is not the answer of a router.
    """
    return {str(row["name"]): _pool(row, answer["protocol"]) for row in answer["pools"]}


def merged(answers: Iterable[Loads]) -> Loads:
    """The pools of a namespace by name, of what all its routers tell."""
    found: dict[str, PoolLoad] = {}
    for answer in answers:
        for name, load in answer.items():
            found[name] = _merged(found.get(name, NOTHING), load)
    return found


def changed(before: Loads, after: Loads) -> list[str]:
    """The pools that the operator should look at."""
    names = {**before, **after}
    return [
        name for name in names if before.get(name, NOTHING).news != after.get(name, NOTHING).news
    ]


def _pool(row: Json, protocol: list[int]) -> PoolLoad:
    workers = {
        str(each["name"]): WorkerLoad(
            _count(each["busy"]),
            _count(each["sessions"]),
            str(each["replace"]),
            int(each["protocol"]),
        )
        for each in row["workers"]
    }
    refused = {each["name"]: _versions(each["protocol"]) for each in row["refused"]}
    return PoolLoad(workers, refused, _versions(protocol))


def _count(told: object) -> int:
    """A number that may become, with another, a pod's deletion cost: those have 32 bits."""
    return min(max(int(str(told)), 0), _MOST)


def _versions(pair: list[int]) -> tuple[int, int]:
    oldest, newest = pair
    return int(oldest), int(newest)


def _merged(one: PoolLoad, other: PoolLoad) -> PoolLoad:
    workers = dict(one.workers)
    for name, load in other.workers.items():
        known = workers.get(name)
        workers[name] = load if known is None else _busier(known, load)
    refused = {**one.refused, **other.refused}
    # One router of a newer release may still understand it, or not yet: one that does is enough.
    return PoolLoad(
        workers,
        {name: versions for name, versions in refused.items() if name not in workers},
        other.protocol,
    )


def _busier(one: WorkerLoad, other: WorkerLoad) -> WorkerLoad:
    return WorkerLoad(
        max(one.busy, other.busy),
        max(one.sessions, other.sessions),
        one.replace or other.replace,
        max(one.protocol, other.protocol),
    )
