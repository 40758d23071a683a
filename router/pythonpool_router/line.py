"""Lines of waiting calls: first in, first out, by age. Pure.

A call that leaves from the middle is only marked (its state is no longer WAITING) and dropped when
it comes to the front, so that leaving costs nothing.
"""

from collections import deque
from collections.abc import Iterator

from pythonpool_router.call import NEW, WAITING, Call


class Line:
    """The calls of one pool that wait for any slot; `len` counts those that still wait."""

    __slots__ = ("_calls", "_length")

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Call]:
        """Those that wait, oldest first; a copy, so that the line may change meanwhile."""
        return iter([call for call in self._calls if call.state == WAITING])

    def push(self, call: Call) -> None:
        """Let `call` wait in the place of its age: at the end, unless it was refused before."""
        call.state = WAITING
        call.is_held = True
        self._length += 1
        calls = self._calls
        if not calls or calls[-1].since <= call.since:
            calls.append(call)
            return
        for place, other in enumerate(calls):
            if other.since > call.since:
                calls.insert(place, call)
                return

    def head(self) -> Call | None:
        """The oldest that waits."""
        calls = self._calls
        while calls:
            call = calls[0]
            if call.state == WAITING:
                return call
            calls.popleft()
        return None

    def pop(self) -> Call | None:
        """Take the oldest out; its state is the taker's matter."""
        call = self.head()
        if call is not None:
            self._calls.popleft()
            self._length -= 1
            call.is_held = False
        return call

    def left(self, call: Call, state: int) -> None:
        """`call`, which waits here, goes out of the line into `state`."""
        call.state = state
        self._length -= 1
        if len(self._calls) > 2 * self._length + 16:
            self._calls = deque(other for other in self._calls if other.state == WAITING)


_READY, _RUNNING, _BLOCKED = range(3)


class SessionLine:
    """The session calls that wait for one worker: each session's in order, one at a time.

    A session is busy while a call of it waits for a slot (ready), runs, or is known to run for
    another router (blocked); further calls wait behind.
    """

    __slots__ = ("_behind", "_ready", "_standing")

    def __init__(self) -> None:
        self._ready = Line()
        self._behind: dict[str, Line] = {}
        self._standing: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ready) + sum(len(line) for line in self._behind.values())

    def __iter__(self) -> Iterator[Call]:
        calls = list(self._ready)
        for line in self._behind.values():
            calls.extend(line)
        return iter(calls)

    def is_busy(self, secret: str) -> bool:
        """Whether a further call of the session has to wait for it."""
        return secret in self._standing

    def is_behind(self, call: Call) -> bool:
        """Whether `call` waits for its session rather than for a slot."""
        return any(other is call for line in self._behind.values() for other in line)

    def push(self, call: Call, secret: str) -> None:
        """Let `call` wait for its session, or for a slot when the session is free."""
        if secret in self._standing:
            self._behind.setdefault(secret, Line()).push(call)
        else:
            self.push_ready(call, secret)

    def push_ready(self, call: Call, secret: str) -> None:
        """Let a call wait for a slot; its session is its own."""
        self._standing[secret] = _READY
        self._ready.push(call)

    def block(self, call: Call, secret: str) -> None:
        """The worker says that the session is busy for another router: wait for its offer."""
        self._standing[secret] = _BLOCKED
        self._behind.setdefault(secret, Line()).push(call)

    def head(self) -> Call | None:
        """The oldest whose session is free."""
        return self._ready.head()

    def pop(self) -> Call | None:
        """Take the oldest whose session is free; the session stays busy until `free`."""
        call = self._ready.pop()
        if call is not None and call.session is not None:
            self._standing[call.session.secret] = _RUNNING
        return call

    def take(self, secret: str) -> None:
        """The session runs a call that did not wait here."""
        self._standing[secret] = _RUNNING

    def free(self, secret: str) -> None:
        """The session's call is over: the next is ready for a slot."""
        following = self._next(secret)
        if following is not None:
            self.push_ready(following, secret)

    def offered(self, secret: str) -> Call | None:
        """The worker keeps the session for this router: take the call that can use it."""
        standing = self._standing.get(secret)
        call: Call | None = None
        if standing == _BLOCKED:
            call = self._next(secret)
        elif standing == _READY:
            call = next((c for c in self._ready if c.session and c.session.secret == secret), None)
            if call is not None:
                self._ready.left(call, NEW)
        if call is not None:
            self._standing[secret] = _RUNNING
        return call

    def left(self, call: Call, secret: str, state: int) -> None:
        """`call`, which waits here, goes out of the line into `state`."""
        behind = self._behind.get(secret)
        if behind is not None and any(other is call for other in behind):
            behind.left(call, state)
            if not behind:
                del self._behind[secret]
                if self._standing.get(secret) == _BLOCKED:
                    del self._standing[secret]
            return
        self._ready.left(call, state)
        self.free(secret)

    def of(self, secret: str) -> list[Call]:
        """All that wait for one session."""
        ready = [c for c in self._ready if c.session is not None and c.session.secret == secret]
        return ready + list(self._behind.get(secret, ()))

    def clear(self) -> list[Call]:
        """All that wait, oldest first; nothing is busy any more."""
        calls = sorted(self, key=lambda call: call.since)
        self._ready = Line()
        self._behind.clear()
        self._standing.clear()
        return calls

    def _next(self, secret: str) -> Call | None:
        """Take the oldest that waits behind; without one the session is not busy any more."""
        behind = self._behind.get(secret)
        following = behind.pop() if behind is not None else None
        if not behind:
            self._behind.pop(secret, None)
        if following is None:
            self._standing.pop(secret, None)
        return following
