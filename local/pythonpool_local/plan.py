"""What to do next with a pool's workers: the decision alone, without a process or a clock.

Called by the pool after everything that happens. Level-triggered: it sees what is, not what was.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Phase = Literal["starting", "ready", "failed", "leaving"]


@dataclass(frozen=True, slots=True)
class Seat:
    """One worker, as far as the decision needs it.

    Attributes:
        name: the worker's.
        phase: where it is in its life; `leaving` is on its way out.
        stays: False when it is to be replaced: made from an older spec, or to be recycled.
        load: running calls and sessions; the idle go first.
    """

    name: str
    phase: Phase
    stays: bool
    load: int = 0


@dataclass(frozen=True, slots=True)
class Moves:
    """Workers to start, to let go after they finished, and to end at once."""

    start: int
    drain: tuple[str, ...]
    kill: tuple[str, ...]


def surge(replicas: int) -> int:
    """How many more than `replicas` may run while workers are replaced: a quarter, at least 1."""
    return max(1, math.ceil(replicas / 4))


def decide(seats: Sequence[Seat], replicas: int, more: int, may_start: bool) -> Moves:
    """Bring `seats` to `replicas` serving workers: new before old, idle before busy.

    Args:
        seats: every worker of the pool that has a process.
        replicas: how many should serve.
        more: how many above `replicas` may run meanwhile; 0: old before new (one GPU).
        may_start: False while the pool waits after a failure.
    """
    failed = [seat for seat in seats if seat.phase == "failed"]
    good = [seat for seat in seats if seat.stays and seat.phase in ("starting", "ready")]
    old = [seat for seat in seats if not seat.stays and seat.phase == "ready"]
    kill = [s.name for s in seats if not s.stays and s.phase in ("starting", "failed")]
    leaving = sum(seat.phase == "leaving" for seat in seats)

    surplus = sorted(good, key=_idle_first)[: max(0, len(good) - replicas)]
    kill += [seat.name for seat in surplus if seat.phase == "starting"]
    drain = [seat.name for seat in surplus if seat.phase == "ready"]

    room = replicas + more - len(good) - len(old) - (0 if more else leaving)
    start = max(0, min(replicas - len(good), room)) if may_start else 0
    # A failed worker is kept until its place is taken: until then it says why the pool is not well.
    to_be_replaced = [seat.name for seat in failed if seat.stays]
    kill += to_be_replaced[: start if len(good) < replicas else None]

    ready = sum(seat.phase == "ready" for seat in good)
    enough = ready + len(old) - replicas
    if not more and old and not leaving and ready == len(good):
        enough = max(enough, 1)
    drain += [seat.name for seat in sorted(old, key=_idle_first)[: max(0, enough)]]
    return Moves(start, tuple(drain), tuple(kill))


def _idle_first(seat: Seat) -> tuple[bool, int]:
    return (seat.phase == "ready", seat.load)
