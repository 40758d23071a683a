"""A TCP relay between a program and a server, that a test can cut: as a network does."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class Relay:
    """Listens on a port of its own; passes all on to `target`, but not while it is cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._pairs: set[socket.socket] = set()
        self._is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections, and every new one."""
        self._is_cut = True
        for one in list(self._pairs):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let new connections through again."""
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                caller.close()
                continue
            server = socket.create_connection(self._target)
            for source, sink in ((caller, server), (server, caller)):
                self._pairs.add(source)
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        self._pairs.discard(source)
        # The other direction still reads from `sink`; each closes what it reads from.
        source.close()
