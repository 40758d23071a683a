"""Callers' connections taken in at listening sockets, as many as there is room for.

Room is what the process may open less what links to workers need. When it is used up the longest
idle connections make room; when there are none, callers wait in the kernel's line until somebody
goes: no call that runs, and no worker, pays for a crowd at the door.
"""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pythonpool_router.logs import Logger

if TYPE_CHECKING:
    from pythonpool_router.front import Connection

_log = Logger()

_BACKLOG = 4096
_AT_ONCE = 128
_PAUSE_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_COMPLAIN_SECONDS = 10.0
_MAX_KEPT_FREE = 4096
_MAX_CONNECTIONS = 20_000


class Crowd:
    """All callers' connections of one router, and how many more there may be.

    Attributes:
        connections: those that are open; each adds and removes itself.
        most: how many there may be.
        coming: accepted, and not yet among them.
    """

    def __init__(self, most: int) -> None:
        self.connections: set[Connection] = set()
        self.most = most
        self.coming: set[asyncio.Task[object]] = set()

    def room(self) -> int:
        """How many more may come now; the longest idle are closed when there is none."""
        room = self.most - len(self.connections) - len(self.coming)
        if room > 0:
            return room
        before = time.monotonic() - _IDLE_SECONDS
        idle = [each for each in self.connections if each.is_idle and each.began_at < before]
        idle.sort(key=lambda each: each.began_at)
        for connection in idle[: max(self.most // 8, 1)]:
            connection.abort()
        return 0


class Acceptor:
    """Accepts at one listening socket."""

    def __init__(
        self, listener: socket.socket, factory: Callable[[], asyncio.Protocol], crowd: Crowd
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._complained_at = -_COMPLAIN_SECONDS
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._go_on()

    def close(self) -> None:
        """Accept nobody any more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        room = self._crowd.room()
        if not room:
            self._wait(f"{self._crowd.most} connections are open")
        for _ in range(min(room, _AT_ONCE)):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(str(error))
                return
            self._take_in(accepted)

    def _take_in(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        opening = self._loop.connect_accepted_socket(self._factory, accepted)
        task: asyncio.Task[object] = self._loop.create_task(opening)
        self._crowd.coming.add(task)
        task.add_done_callback(self._crowd.coming.discard)

    def _wait(self, why: str) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_SECONDS, self._go_on)
        now = self._loop.time()
        if now - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at = now
            _log.warning("callers wait at the door", why=why)


def room_for_callers() -> int:
    """How many callers' connections this process can hold.

    Its limit of descriptors is raised as far as it may be; a quarter, 4096 at most, is kept for
    links, probes and files.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = min(limit // 4, _MAX_KEPT_FREE)
    return min(max(limit - kept - len(os.listdir("/proc/self/fd")), 1), _MAX_CONNECTIONS)
