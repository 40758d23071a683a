"""The router's event loop: asyncio's own, but bytes of callers and workers are handed over where
they are found: no handle, no callback, and what follows from them is done in the same turn.

Where the loop is another one, or a transport is no plain socket, all goes asyncio's way.
"""

import asyncio
import contextlib
import os
import select
import selectors
from collections.abc import Callable
from typing import Any

from pythonpool_router.logs import Logger

_log = Logger()

_READ_BYTES = 262_144
_MAX_EVENTS = 512
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT

Take = Callable[[bytes], None]
_Taker = tuple[Take, asyncio.Transport]


class TurnLoop(asyncio.SelectorEventLoop):
    """asyncio's loop over a selector that reads for those who asked for it."""

    def __init__(self) -> None:
        self.turns = Turns()
        super().__init__(self.turns)


def hand_over(transport: asyncio.Transport, take: Take) -> None:
    """Give what comes on `transport` to `take`; asked in `connection_made`.

    The end of the stream is told as ever. Where this can not be done `data_received` is called.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, TurnLoop) and transport.get_extra_info("sslcontext") is None:
        loop.turns.takers[transport.get_extra_info("socket").fileno()] = (take, transport)


def leave(transport: asyncio.Transport) -> None:
    """Undo `hand_over`; asked in `connection_lost`, while the socket's number is still its own."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, TurnLoop) and transport.get_extra_info("sslcontext") is None:
        loop.turns.takers.pop(transport.get_extra_info("socket").fileno(), None)


class Turns(selectors.BaseSelector):
    """An epoll selector that gives the bytes of some sockets to their takers by itself.

    Attributes:
        takers: by the socket's number; asked while asyncio reads there and has nothing to write.
    """

    def __init__(self) -> None:
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
        """Wait; hand over what can be, return the rest."""
        ready: list[tuple[selectors.SelectorKey, int]] = []
        reads, read = self._reads, os.read
        try:
            found = self._epoll.poll(_rounded(timeout), _MAX_EVENTS)
        except InterruptedError:
            return ready
        for fd, event in found:
            if event == _IN and fd in reads:
                try:
                    data = read(fd, _READ_BYTES)
                except (BlockingIOError, InterruptedError):
                    continue
                except OSError:
                    data = b""
                if data:
                    take, transport = reads[fd]
                    try:
                        take(data)
                    except Exception:  # noqa: BLE001 - one connection's fault must not end the loop
                        _log.exception("a connection failed")
                        transport.abort()
                    continue
            key = self._keys.get(fd)
            if key is not None:  # the end, an error, or another's; else closed earlier in this turn
                events = (event & ~_IN and _WRITE) | (event & ~_OUT and _READ)
                ready.append((key, events & key.events))
        return ready

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
