"""The listening sockets that `up` binds itself and hands to its routers."""

import errno
import socket

from pythonpool_local.refusal import UNAVAILABLE, USAGE, Refusal

BACKLOG = 4096


def listen(port: int) -> socket.socket:
    """Listen on 127.0.0.1, or on [::1] where there is no IPv4; port 0 takes a free one.

    Raises:
        Refusal: the port is taken, or may not be used.
    """
    try:
        return _listen(socket.AF_INET, "127.0.0.1", port)
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise _refusal(port, error) from None
    try:
        return _listen(socket.AF_INET6, "::1", port)
    except OSError as error:
        raise _refusal(port, error) from None


def url(listening: socket.socket) -> str:
    """Where callers reach it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _refusal(port: int, error: OSError) -> Refusal:
    if error.errno == errno.EADDRINUSE:
        line = f"port {port} is taken by another program: choose one with --port, or --port 0"
        return Refusal(line, UNAVAILABLE)
    return Refusal(f"port {port} can not be used: {error.strerror}; choose one with --port", USAGE)
