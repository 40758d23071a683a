"""The event loop of routers and agents: asyncio's own, but bytes of callers, links and executors
are handed over where they are found: no handle, no callback, and what follows is done in one turn.

Where the loop is another one, or a transport is no plain socket, all goes asyncio's way.
"""

import asyncio
import contextlib
import os
import select
import selectors
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, TypeVarTuple, Unpack

_READ_BYTES = 262_144
_MAX_EVENTS = 512
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT

_Args = TypeVarTuple("_Args")
Take = Callable[[bytes], object]
_Taker = tuple[Take, Callable[[], None]]


class TurnLoop(asyncio.SelectorEventLoop):
    """asyncio's loop over a selector that reads for those who asked for it.

    While nothing else is asked for the selector takes turn after turn by itself.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        super().__init__(self.turns)
        self.turns.on_fault = self._tell

    def call_soon(
        self,
        callback: Callable[[Unpack[_Args]], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As ever; the selector gives way."""
        self.turns.is_wanted = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Args]], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As ever; the selector gives way."""
        self.turns.is_wanted = True
        return super().call_at(when, callback, *args, context=context)

    def _tell(self, fault: Exception) -> None:
        message = "what was handed over, or the end of a turn, failed"
        self.call_exception_handler({"message": message, "exception": fault})


def hand_over(transport: asyncio.Transport, take: Take) -> None:
    """Give what comes on `transport` to `take`; asked in `connection_made`.

    The end of the stream is told as ever. Where this can not be done `data_received` is called.
    """
    if transport.get_extra_info("sslcontext") is None:
        hand_over_from(transport.get_extra_info("socket").fileno(), take, transport.abort)


def leave(transport: asyncio.Transport) -> None:
    """Undo `hand_over`; asked in `connection_lost`, while the socket's number is still its own."""
    if transport.get_extra_info("sslcontext") is None:
        leave_to(transport.get_extra_info("socket").fileno())


def hand_over_from(descriptor: int, take: Take, abort: Callable[[], None]) -> None:
    """The same for a descriptor; asked before `loop.add_reader`, whose callback is told the end.

    `abort` is called when `take` raises.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, TurnLoop):
        loop.turns.takers[descriptor] = (take, abort)


def leave_to(descriptor: int) -> None:
    """Undo `hand_over_from`; asked before the descriptor is closed."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, TurnLoop):
        loop.turns.takers.pop(descriptor, None)


def end_of_turn() -> Callable[[Callable[[], None]], object]:
    """Of the running loop: what calls a callback at the end of the present turn, once.

    That is before the loop waits again.
    """
    loop = asyncio.get_running_loop()
    return loop.turns.ends.append if isinstance(loop, TurnLoop) else loop.call_soon


class Turns(selectors.BaseSelector):
    """An epoll selector that gives the bytes of some sockets to their takers by itself.

    Attributes:
        takers: by the socket's number; asked while asyncio reads there and has nothing to write.
        on_fault: told what a taker raised; its connection is aborted.
        ends: what is called at the end of the present turn.
        is_wanted: the loop has callbacks to call, or another time to wake.
    """

    def __init__(self) -> None:
        self.ends: list[Callable[[], None]] = []
        self.is_wanted = False
        self.on_fault: Callable[[Exception], None] = _raise
        self.takers: dict[int, _Taker] = {}
        self._reads: dict[int, _Taker] = {}  # those of `takers` that are watched for bytes alone
        self._epoll = select.epoll()
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a descriptor."""
        fd = _descriptor(fileobj)
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        self._epoll.register(fd, _mask(events))
        return self._keep(selectors.SelectorKey(fileobj, fd, events, data))

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch it no more."""
        key = self._keys.pop(_descriptor(fileobj))
        self._reads.pop(key.fd, None)
        with contextlib.suppress(OSError):  # closed by its owner: the kernel has forgotten it
            self._epoll.unregister(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch it for other events, or with other data."""
        before = self._keys[_descriptor(fileobj)]
        if events != before.events:
            self._epoll.modify(before.fd, _mask(events))
        return self._keep(before._replace(events=events, data=data))

    def _keep(self, key: selectors.SelectorKey) -> selectors.SelectorKey:
        self._keys[key.fd] = key
        self._reads.pop(key.fd, None)
        if key.events == _READ and key.fd in self.takers:
            self._reads[key.fd] = self.takers[key.fd]
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait; hand over what can be, turn by turn, until there is something to return."""
        ready: list[tuple[selectors.SelectorKey, int]] = []
        self.is_wanted = False
        self._end_turn()
        if self.is_wanted:
            timeout = 0
        until = None if timeout is None else monotonic() + timeout
        poll = self._epoll.poll
        while True:
            try:
                found = poll(_rounded(timeout), _MAX_EVENTS)
            except InterruptedError:
                return ready
            self._hand_over(found, ready)
            self._end_turn()
            if ready or self.is_wanted or not found:
                return ready
            if until is not None:
                timeout = until - monotonic()
                if timeout <= 0:
                    return ready

    def _end_turn(self) -> None:
        while self.ends:
            ends = self.ends[:]
            self.ends.clear()  # the list itself stays: others append to it
            for end in ends:
                try:
                    end()
                except Exception as fault:  # noqa: BLE001 - nor this
                    self.on_fault(fault)

    def _hand_over(
        self, found: list[tuple[int, int]], ready: list[tuple[selectors.SelectorKey, int]]
    ) -> None:
        reads, read = self._reads, os.read
        for fd, event in found:
            if event == _IN and fd in reads:
                try:
                    data = read(fd, _READ_BYTES)
                except (BlockingIOError, InterruptedError):
                    continue
                except OSError:
                    data = b""
                if data:
                    take, abort = reads[fd]
                    try:
                        take(data)
                    except Exception as fault:  # noqa: BLE001 - it must not end the loop
                        self.on_fault(fault)
                        abort()
                    continue
            key = self._keys.get(fd)
            if key is not None:  # the end, an error, or another's; else closed earlier in this turn
                events = (event & ~_IN and _WRITE) | (event & ~_OUT and _READ)
                ready.append((key, events & key.events))

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()
        self._keys.clear()
        self.takers.clear()
        self._reads.clear()

    def get_map(self) -> dict[int, selectors.SelectorKey]:  # type: ignore[override]
        """All keys by descriptor."""
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """The key of one.

        Raises:
            KeyError: it is not watched.
        """
        return self._keys[_descriptor(fileobj)]


def _raise(fault: Exception) -> None:
    raise fault


def _descriptor(fileobj: Any) -> int:
    number: int = fileobj if isinstance(fileobj, int) else fileobj.fileno()
    return number


def _mask(events: int) -> int:
    return (_IN if events & _READ else 0) | (_OUT if events & _WRITE else 0)


def _rounded(timeout: float | None) -> float:
    """In whole milliseconds, which is what the kernel takes, never less than was asked for."""
    if timeout is None:
        return -1
    return -(-timeout * 1000 // 1) / 1000 if timeout > 0 else 0
