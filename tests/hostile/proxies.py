"""nginx and haproxy before a router, installed from the distribution where that may be done."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from debian import install
from flows.house import wait_for
from hostile.rawhttp import Door

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Proxy:
    """One program and how it is started.

    Attributes:
        own: statuses from 500 on that it makes for reasons of its own, by the name of the request.
    """

    name: str
    template: str
    arguments: Callable[[Path], list[str]]
    own: dict[str, int]


NGINX = Proxy(
    "nginx", "nginx.conf", lambda config: ["-p", str(config.parent), "-c", str(config)],
    # It knows no other coding than chunked, and says so.
    {"TE by another name": 501, "TE of two codings": 501, "TE twice": 501, "TE with a tab": 501,
     "HTTP/2.0 by name": 505},
)  # fmt: skip
HAPROXY = Proxy("haproxy", "haproxy.cfg", lambda config: ["-f", str(config)], {})


def program(name: str) -> str | None:
    """Where the program is; None where it is not, and may not be installed."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        install(name)
        found = shutil.which(name, path=path)
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(proxy: Proxy, binary: str, folder: Path, router: Door) -> Iterator[Door]:
    """The proxy before `router`; where to ask it."""
    port = _free_port()
    text = (HERE / proxy.template).read_text()
    for name, value in (
        ("FOLDER", folder), ("PORT", port), ("ROUTER", f"{router.host}:{router.port}")
    ):  # fmt: skip
        text = text.replace(f"@{name}@", str(value))
    config = folder / proxy.template
    config.write_text(text)
    with (folder / "said").open("w") as said:
        process = subprocess.Popen([binary, *proxy.arguments(config)], stdout=said, stderr=said)
    try:
        wait_for(lambda: _answers(port, process))
        yield Door("127.0.0.1", port, router.token, is_proxy=True)
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the proxy has ended"
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
