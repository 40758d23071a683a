"""The least that a router of this make can do: a real HTTP parser, frames, nothing between.

`python -m bench.bare --link unix:PATH --listen-fd N --unix PATH`. No token, no pool, no line, no
slots, no deadline, no ids, no counters: what the router does besides is the price of what it
promises. One worker; bodies of at most a frame.
"""

import argparse
import asyncio
import itertools
import socket

import httptools

from pythonpool import messages
from pythonpool.messages import Kind

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Pythonpool-Execution-Id: x-0123456789abcdef-00000001\r\nPythonpool-Worker: bench-00000000\r\n"
    b"Server-Timing: queue;dur=0.004, run;dur=0.001\r\nDate: Sat, 31 Jan 2026 12:00:00 GMT\r\n\r\n"
)


class Link(asyncio.Protocol):
    """The worker's connection."""

    def __init__(self) -> None:
        self.waiting: dict[int, Caller] = {}
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._reader = messages.FrameReader()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The worker has dialled."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, caller: "Caller", body: bytes) -> None:
        """Send one CALL, with those of the same turn."""
        number = next(self._numbers)
        self.waiting[number] = caller
        if not self._out:
            self._loop.call_soon(self._flush)
        size = len(body)
        self._out.append(
            messages.call_start(
                number, size, 0, 30_000, 0, 0, size, messages.call_names(b"echo", b"", b"", b"")
            )
        )
        self._out.append(body)

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        """Results, each for the caller that waits for it."""
        for kind, number, payload in self._reader.feed(data):
            if kind == Kind.RESULT:
                body = payload[messages.RESULT_HEAD.size :]
                self.waiting.pop(number).transport.writelines((_HEAD % len(body), body))


class Caller(asyncio.Protocol):
    """One caller's connection; httptools calls the methods with `on_`."""

    link: Link

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The request is whole."""
        body, self._body = self._body, b""
        self.link.ask(self, body)


def _linked() -> Link:
    Caller.link = Link()
    return Caller.link


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_unix_server(_linked, options.link.removeprefix("unix:"))
    await loop.create_server(Caller, sock=socket.socket(fileno=options.listen_fd))
    await loop.create_unix_server(Caller, options.unix)
    await loop.create_future()


def main() -> None:
    """Until it is killed."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare")
    parser.add_argument("--link", required=True)
    parser.add_argument("--unix", required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    messages.keep_buffers_in_heap()
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
