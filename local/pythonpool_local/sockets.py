"""The listening sockets that `up` binds itself and hands to its routers."""

import errno
import socket

from pythonpool_local.refusal import UNAVAILABLE, USAGE, Refusal

BACKLOG = 4096


def listen(port: int, option: str = "--port") -> socket.socket:
    """Listen on 127.0.0.1, or on [::1] where there is no IPv4; port 0 takes a free one.

    Args:
        port: from 0 to 65535.
        option: the one to choose another port with.

    Raises:
        Refusal: the port is taken, or may not be used.
    """
    try:
        return _listen(socket.AF_INET, "127.0.0.1", port)
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise _refusal(port, option, error) from None
    try:
        return _listen(socket.AF_INET6, "::1", port)
    except OSError as error:
        raise _refusal(port, option, error) from None


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


def _refusal(port: int, option: str, error: OSError) -> Refusal:
    if error.errno == errno.EADDRINUSE:
        line = f"port {port} is taken by another program: choose one with {option}, or {option} 0"
        return Refusal(line, UNAVAILABLE)
    line = f"port {port} can not be used: {error.strerror}; choose one with {option}"
    return Refusal(line, USAGE)
