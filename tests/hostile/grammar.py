"""Requests made by seed: from a grammar whose every place may be wrong, then mutated and cut.

The same seed and number give the same bytes, so that one that breaks something can be sent again.
"""

import random
from dataclasses import dataclass

from hostile.rawhttp import FIRST, SECOND, TOKEN
from hostile.shapes import BODY

Chance = random.Random

_METHODS = [b"GET", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"post",
            b"", b"PRI", b"GE T", b"\xff", b"P" * 300, b"M-SEARCH"]  # fmt: skip
_PATHS = [b"/v1/pools/journal/execute/note", b"/v1/execute/note", b"/v1/sessions", b"/v1/pools",
          b"/v1/pools/journal", b"/v1/pools/journal/commands", b"/v1/pools/journal/workers",
          b"/v1/pools/none/execute/note", b"/v1/pools/journal/execute/none", b"/livez", b"/readyz",
          b"/version", b"/metrics", b"/openapi.json", b"/", b"*", b"http://localhost/v1/pools",
          b"/v1/sessions/x", b"/v1/sessions/journal.journal-abcde." + b"0" * 16 + b"." + b"1" * 32,
          b"/v1/executions/x", b"/v1/pools/journal/workers/x/recycle", b"//", b"/v1/../v1/pools",
          b"/%76%31/pools", b"/v1/pools/%00", b"/v1%2fpools", b"/v1/pools/\xc3\xa9"]  # fmt: skip
_QUERIES = [b"timeout=2", b"queue_timeout=0", b"timeout=1e-05", b"timeout=-1", b"timeout=99999999",
            b"pool=journal", b"pool=", b"x=1", b"timeout=2&timeout=2", b"%", b"%zz", b"=", b"&&",
            b"owner=*", b"timeout=\xff", b"a" * 3000]  # fmt: skip
_VERSIONS = [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.10",
             b"HTTP/", b"", b"HTTP/1.1 ", b"HTTP\t/1.1"]  # fmt: skip
_HOSTS = [b"127.0.0.1", b"[::1]:80", b"evil.example", b"", b"localhost:", b"localhost:99999",
          b"localhost\x00", b"a b"]  # fmt: skip
_FIELDS = [
    (b"Connection", [b"close", b"keep-alive", b"Upgrade", b"close, TE", b"", b"x" * 200]),
    (b"Expect", [b"100-continue", b"100-Continue", b"nothing", b""]),
    (b"Upgrade", [b"h2c", b"websocket"]),
    (b"Accept", [b"text/event-stream", b"*/*", b"\xff", b"application/openmetrics-text"]),
    (b"Content-Type", [b"application/octet-stream", b"text/html; charset=\xff", b""]),
    (b"Origin", [b"http://localhost", b"null", b"http://evil"]),
    (b"Idempotency-Key", [b"k"]),
    (b"Prefer", [b"respond-async"]),
    (b"traceparent", [b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"x" * 400, b"\xff"]),
    (b"X_y", [b"1"]),
    (b"Content-Length ", [b"5"]),
    (b"Transfer-Encoding", [b"chunked", b"Chunked", b"chunked, chunked", b"gzip", b"\x0bchunked"]),
    (b"Content-Length", [b"0", b"19", b"+19", b"1_9", b"19,19", b"-1", b"0x13", b"9" * 25, b""]),
    (b"Host", _HOSTS),
    (b"Authorization", [b"Bearer wrong", b"Basic x", b"Bearer", b""]),
    (b"", [b"x"]),
    (b"A" * 500, [b"b" * 500]),
]
_BODIES = [b"", b"{}", b"[]", b"nonsense", b'{"mark": 7}', b'{"mark": NaN}', b"\xff\xfe",
           b"[" * 300, b'{"pool": "journal"}', b'{"pool": "journal", "ttl_seconds": 0}',
           b'{"pool": 1}', b" " * 70_000]  # fmt: skip
_ENDS = [b"\n", b"\r", b"\r\r\n", b"\r\n ", b"", b"\0\r\n"]
_NOISE = [b"\r\n", b"\n", b"\0", b" ", b"\t", b":", b"%", b"\xff", b"0", b"\r\n\r\n", b"HTTP/1.1"]
_PIPELINED = 4


@dataclass(frozen=True, slots=True)
class Made:
    """What one connection says.

    Attributes:
        pieces: places where it is cut; each part is a write of its own.
    """

    data: bytes
    pieces: list[int]

    @property
    def most_answers(self) -> int:
        """The most requests that anybody could find in it, and one for a broken end."""
        data = self.data
        heads = data.count(b"\n\r\n") + data.count(b"\n\n") + data.count(b"\r\r")
        return max(data.count(b"HTTP"), data.count(b"http"), heads, 1) + 1


def made(seed: int, number: int) -> Made:
    """Request `number` of `seed`."""
    chance = random.Random(f"{seed}:{number}")
    requests = 1 if chance.random() < 0.7 else chance.randrange(2, _PIPELINED + 1)
    data = b"".join(_request(chance) for _ in range(requests))
    if chance.random() < 0.3:
        data = _mutated(chance, data)
    data = data.replace(FIRST, FIRST, 1) or b"x"
    return Made(_marks_once(data), _pieces(chance, len(data)))


def _marks_once(data: bytes) -> bytes:
    """The first request has one mark, the second another, further ones none."""
    first = data.find(FIRST)
    if first < 0:
        return data
    before, after = data[: first + len(FIRST)], data[first + len(FIRST) :]
    after = after.replace(FIRST, SECOND, 1)
    return before + after.replace(FIRST, b"further!")


def _often(chance: Chance, usual: bytes, others: list[bytes], wrong: float) -> bytes:
    return chance.choice(others) if chance.random() < wrong else usual


def _request(chance: Chance) -> bytes:
    wrong = chance.choice((0.0, 0.03, 0.15))
    method = _often(chance, b"POST", _METHODS, wrong + 0.1)
    target = _often(chance, _PATHS[0], _PATHS, wrong + 0.2)
    if chance.random() < 0.2:
        target += b"?" + chance.choice(_QUERIES)
    version = _often(chance, b"HTTP/1.1", _VERSIONS, wrong)
    fields = [
        (b"Host", _often(chance, b"localhost", _HOSTS, wrong)),
        (b"Authorization", _often(chance, b"Bearer " + TOKEN, [b"Bearer x", b""], wrong)),
    ]
    body = _often(chance, BODY, _BODIES, 0.2)
    if chance.random() < 0.4:
        fields.append((b"Transfer-Encoding", b"chunked"))
        body = _chunked(chance, body, wrong)
    elif body or chance.random() < 0.5:
        off = chance.choice((-3, -1, 1, 5, 200)) if chance.random() < wrong else 0
        fields.append((b"Content-Length", b"%d" % (len(body) + off)))
    while chance.random() < 0.3 + wrong:
        name, values = chance.choice(_FIELDS)
        fields.append((name, chance.choice(values)))
    if chance.random() < 0.02:
        fields += [(b"X-%d" % n, b"y") for n in range(chance.randrange(40, 120))]
    chance.shuffle(fields)
    lines = [b" ".join((method, target, version)), *(b"%b: %b" % field for field in fields), b""]
    return b"".join(line + _often(chance, b"\r\n", _ENDS, wrong / 4) for line in lines) + body


def _chunked(chance: Chance, body: bytes, wrong: float) -> bytes:
    parts: list[bytes] = []
    while body:
        size = chance.randrange(1, len(body) + 1)
        told = _often(
            chance, b"%x" % size,
            [b"%x" % (size + 1), b"0%x" % size, b"-1", b"f" * 17, b"", b"0x1", b"%X;e=1" % size],
            wrong,
        )  # fmt: skip
        parts.append(told + b"\r\n" + body[:size] + _often(chance, b"\r\n", _ENDS, wrong))
        body = body[size:]
    trailer = _often(chance, b"", [b"X: y\r\n", b"Content-Length: 5\r\n", b"bad\r\n"], 0.1)
    return (
        b"".join(parts)
        + _often(chance, b"0", [b"00", b"0;x", b""], wrong)
        + b"\r\n"
        + (trailer + b"\r\n")
    )


def _mutated(chance: Chance, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at:at] = chance.choice(_NOISE)
            case 1:
                del data[at : at + chance.randrange(1, 6)]
            case 2:
                data[at : at + 1] = chance.randbytes(1)
            case 3:
                data[at:at] = data[at : at + chance.randrange(40)]
            case _:
                del data[at:]
    return bytes(data)


def _pieces(chance: Chance, size: int) -> list[int]:
    kind = chance.random()
    if kind < 0.6:
        return []
    if kind < 0.7 and size < 1000:
        return list(range(1, size))  # every byte for itself
    return sorted(chance.randrange(size + 1) for _ in range(chance.randrange(1, 6)))
