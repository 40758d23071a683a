"""Hostile HTTP on a real `up`: smuggling shapes beside those of test_router_front.py, slow shapes,
and requests mutated by seed. Never two answers to one request, never 5xx, and an end to each.
"""

import os
import random
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from flows.house import House, manifest

Open = Callable[..., House]

GENERAL = manifest("general", "{adapter: general, resources: {memory: 256Mi}}")
SEED = 6
MUTATED = 2000
PATIENCE_SECONDS = 15.0
MEMORY_GROWTH_BYTES = 24 * 2**20
NAMED = b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer @\r\n"
EXECUTE = b"POST /v1/pools/general/execute/echo" + NAMED
SECOND = b"GET /v1/pools" + NAMED + b"\r\n"
CHUNKED = EXECUTE + b"Transfer-Encoding: chunked\r\n"

# What stands in the body, or hides behind the head, must never be read as a request of its own.
HOSTILE: dict[str, bytes] = {
    "TE before CL": EXECUTE + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "TE twice": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE with a tab": EXECUTE + b"Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
    "TE by another name": EXECUTE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE on HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n0\r\n\r\n",
    "CL with a sign": EXECUTE + b"Content-Length: +2\r\n\r\n{}",
    "CL in hex": EXECUTE + b"Content-Length: 0x2\r\n\r\n{}",
    "CL as a list": EXECUTE + b"Content-Length: 2, 2\r\n\r\n{}",
    "CL without end": EXECUTE + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "two CL that differ": EXECUTE + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}",
    "chunk with a sign": CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "chunk longer than 64 bits": CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n{}\r\n0\r\n\r\n",
    "chunk longer than it says": CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n",
    "chunk ended by LF": CHUNKED + b"\r\n2\n{}\n0\n\n",
    "CR alone": EXECUTE + b"X: a\rContent-Length: 2\r\n\r\n{}",
    "field without a name": EXECUTE + b": x\r\n\r\n",
    "target in absolute form": b"GET http://evil/v1/pools" + NAMED + b"Connection: close\r\n\r\n",
    "CONNECT": b"CONNECT evil:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "upgrade with a body": EXECUTE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 2\r\n\r\n{}",
}  # fmt: skip


class Raw:
    """A socket to a house, which counts whole answers."""

    def __init__(self, house: House) -> None:
        host, port = house.url.removeprefix("http://").split(":")
        self._token = house.token.encode()
        self._socket = socket.create_connection((host, int(port)), PATIENCE_SECONDS)

    def send(self, data: bytes) -> None:
        """Write; a router that has closed already has said why."""
        try:
            self._socket.sendall(data.replace(b"@", self._token))
        except OSError:
            return

    def wait(self, seconds: float) -> None:
        """Until the first byte of an answer has come, for so long at most."""
        select.select([self._socket], [], [], seconds)

    def half_close(self) -> None:
        """Say that nothing follows."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def answers(self) -> list[int]:
        """The statuses of all answers until the router closes; it must, in time."""
        data = b""
        try:
            while part := self._socket.recv(65_536):
                data += part
        except ConnectionResetError:
            pass
        finally:
            self._socket.close()
        return statuses(data)


def statuses(data: bytes) -> list[int]:
    """The statuses of the answers in `data`, whose lengths must fit."""
    found: list[int] = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        if not end:
            break  # cut by a reset
        first, *lines = head.split(b"\r\n")
        assert first.startswith(b"HTTP/1.1 "), first[:100]
        fields = {name.lower(): value for name, _, value in (row.partition(b": ") for row in lines)}
        status = int(first.split(b" ")[1])
        if status != 100:
            found.append(status)
            data = data[int(fields.get(b"content-length", b"0")) :]
    return found


def serves(house: House) -> None:
    """The router answers calls as before."""
    with house.client() as client:
        assert client.execute("general", "echo", {"n": 1})["echoed"] == {"n": 1}


def test_hostile_requests_get_one_answer_and_no_second_is_read(house: Open) -> None:
    """400, then closed: the request that hides behind is not served."""
    up = house(GENERAL)
    for name, text in HOSTILE.items():
        raw = Raw(up)
        raw.send(text + SECOND)
        assert raw.answers() == [400], name
    serves(up)


SLOW: dict[str, bytes] = {
    "half a head": EXECUTE,
    "no end of a chunked body": CHUNKED + b"\r\n2\r\n{}\r\n",
    "a body that stops": EXECUTE + b"Content-Length: 10\r\n\r\n{",
    "a long body that stops": EXECUTE + b"Content-Length: 1000000\r\n\r\n" + b" " * 100_000,
}


def test_held_sockets_cost_other_callers_little(house: Open) -> None:
    """Bodies that stop are given up in seconds; 300 silent or half-said heads are passed by."""
    up = house(GENERAL)
    held = [Raw(up) for _ in range(300)]
    for number, raw in enumerate(held):
        raw.send(SLOW["half a head"][: number % 60])
    slow = {name: Raw(up) for name in SLOW if name != "half a head"}
    for name, raw in slow.items():
        raw.send(SLOW[name])
    began = time.monotonic()
    for _ in range(20):
        serves(up)
    assert time.monotonic() - began < PATIENCE_SECONDS
    for name, raw in slow.items():
        assert raw.answers() == [408], name
    for raw in held:
        raw.half_close()
        assert raw.answers() == []


def mutated(chance: random.Random) -> bytes:
    """A request or two that were well formed once."""
    seeds = [
        *HOSTILE.values(), SECOND, EXECUTE + b"Content-Length: 2\r\n\r\n{}",
        CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n",
    ]  # fmt: skip
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at:at] = chance.choice(
                    [b"\r\n", b"\n", b"\0", b" ", b"\t", b":", b"%", b"\xff"]
                )
            case 1:
                del data[at : at + chance.randrange(1, 6)]
            case 2:
                data[at : at + 1] = chance.randbytes(1)
            case 3:
                data[at:at] = data[at : at + chance.randrange(40)]
            case _:
                data = data[:at] + bytearray(chance.choice(seeds))[at:]
        data = data or bytearray(b"x")
    return bytes(data)


def requests_in(data: bytes) -> int:
    """The most requests that anybody could find in `data`."""
    return max(data.count(b"HTTP/"), data.count(b"\n\r\n") + data.count(b"\n\n"), 1) + 1


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_mutated_requests_by_seed(house: Open) -> None:
    """Each connection ends once its caller has, with as many answers as requests at most."""
    up = house(GENERAL)
    router = up.content["routers"][0]["pid"]
    chance = random.Random(SEED)
    seen: set[int] = set()
    grown: list[int] = []
    for number in range(MUTATED):
        data = mutated(chance)
        raw = Raw(up)
        raw.send(data)
        raw.wait(0.005)  # who half-closes has gone, and is not answered
        raw.half_close()
        found = raw.answers()
        assert len(found) <= requests_in(data), (number, data)
        assert all(status < 500 for status in found), (number, data, found)
        seen.update(found)
        if number % (MUTATED // 4) == 0:
            grown.append(resident_bytes(router))
    assert grown[-1] - grown[1] < MEMORY_GROWTH_BYTES
    assert 400 in seen
    serves(up)
