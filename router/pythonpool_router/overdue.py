"""Answers callers in time whose worker does not: one that stands still, or a link that is stuck.

A healthy worker ends each call itself, at its deadline; this is for the others. It costs a look at
the calls of a link every 50 ms while there are any.
"""

import asyncio
import math
from collections.abc import Callable, Iterable

from pythonpool.errors import Timeout
from pythonpool.messages import MAX_PAYLOAD, OPEN
from pythonpool_router.call import ANSWERED, GONE, SENT, Call

OVERDUE_SECONDS = 0.2
"""After the deadline: the worker's own answer comes before it, the caller's limit is 250 ms."""

STALLED_SECONDS = 30.0
"""A result that was begun goes on at least so often while its caller takes it."""

_LOOK_SECONDS = 0.05
_STOOD_STILL_SECONDS = 0.15
_READ_SECONDS = 0.005


class OverdueWatch:
    """Looks at the calls that were sent over one link.

    `calls` gives those without their terminal frame; `answer` is told each that is overdue. Such a
    call is GONE afterwards: its terminal frame still settles the slot, its result is dropped.
    """

    def __init__(
        self, calls: Callable[[], Iterable[Call]], answer: Callable[[Call, Timeout], None]
    ) -> None:
        self.is_looking = False
        self._calls = calls
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._next = 0.0

    def start(self) -> None:
        """A call was sent: look until none is under way."""
        self.is_looking = True
        self._look_at(self._loop.time() + _LOOK_SECONDS)

    def _look_at(self, when: float) -> None:
        self._next = when
        self._loop.call_at(when, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        sent = [call for call in self._calls() if call.state == SENT and not call.flags & OPEN]
        if now - self._next > _STOOD_STILL_SECONDS:
            # This router stood still itself: first it reads the answers that have come meanwhile.
            self._look_at(now + _READ_SECONDS)
            return
        for call in sent:
            if _due(call) <= now and call.state == SENT:
                self._answer(call, _overdue(call))
                call.state = GONE
        self.is_looking = bool(sent)
        if sent:
            # A call that is sent before the next look is not due before it.
            coming = min((_due(call) for call in sent if call.state == SENT), default=math.inf)
            self._look_at(min(now + _LOOK_SECONDS, coming))


def is_stalled(call: Call, now: float) -> bool:
    """Whether a worker leaves off in the middle of a result although there is room for a frame.

    `call.deadline` is STALLED_SECONDS after its last part.
    """
    return call.state == ANSWERED and call.granted >= MAX_PAYLOAD and call.deadline <= now


def _due(call: Call) -> float:
    return call.since + call.waited + call.timeout_ms / 1000 + OVERDUE_SECONDS


def _overdue(call: Call) -> Timeout:
    return Timeout(
        f"Python operation timed out after {call.timeout_ms / 1000:g} s; its worker does not "
        "answer, and whether the command was killed is not known",
        cause="worker_silent",
    )
