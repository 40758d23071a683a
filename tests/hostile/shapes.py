"""The hostile requests by name: each hides a second request behind it, or in it.

`notes` of the project measured 23 of them against five servers; their names are kept.
"""

from hostile.rawhttp import FIRST, SECOND, TOKEN

BODY = b'{"mark":"' + FIRST + b'"}'
NAMED = b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN + b"\r\n"
NOTE = b"POST /v1/pools/journal/execute/note" + NAMED
CHUNKED = NOTE + b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
END = b"0\r\n\r\n"

HIDDEN = (
    NOTE
    + b"Connection: close\r\n"
    + LENGTH
    + b"\r\n"
    + BODY.replace(FIRST, SECOND)
)  # fmt: skip
"""The request that must not be served when the one before it is broken."""

GOOD = NOTE + LENGTH + b"\r\n" + BODY

HOSTILE: dict[str, bytes] = {
    "CL and TE": NOTE + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + END,
    "TE and CL": CHUNKED + b"Content-Length: 4\r\n\r\n" + CHUNK + END,
    "TE twice": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNK + END,
    "TE of two codings": NOTE + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNK + END,
    "TE by another name": NOTE + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNK + END,
    "TE on HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + CHUNK + END,
    "two CL that differ": NOTE + LENGTH + b"Content-Length: 90\r\n\r\n" + BODY,
    "two CL that agree": NOTE + LENGTH + LENGTH + b"\r\n" + BODY,
    "CL with a sign": NOTE + LENGTH.replace(b": ", b": +") + b"\r\n" + BODY,
    "CL in hex": NOTE + b"Content-Length: 0x13\r\n\r\n" + BODY,
    "CL beyond 64 bits": NOTE + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + BODY,
    "chunk with a sign": CHUNKED + b"\r\n+" + CHUNK + END,
    "chunk beyond 64 bits": CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n" + BODY + b"\r\n" + END,
    "chunk longer than it says": CHUNKED + b"\r\n1\r\n" + BODY + b"\r\n" + END,
    "bare LF": (NOTE + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "obs-fold": NOTE + LENGTH + b"X: y\r\n z\r\n\r\n" + BODY,
    "CR alone": NOTE + b"X: a\r" + LENGTH + b"\r\n" + BODY,
    "NUL in a field": NOTE + LENGTH + b"X: a\0b\r\n\r\n" + BODY,
    "blank before the colon": NOTE + b"Content-Length : 19\r\n\r\n" + BODY,
    "no Host": NOTE.replace(b"Host: localhost\r\n", b"") + LENGTH + b"\r\n" + BODY,
    "two Hosts": NOTE + b"Host: localhost\r\n" + LENGTH + b"\r\n" + BODY,
    "a head of 1 MiB": NOTE + b"X: " + b"y" * 2**20 + b"\r\n\r\n",
    "10,000 fields": NOTE + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
}  # fmt: skip

FURTHER: dict[str, bytes] = {
    "TE with a tab": NOTE + b"Transfer-Encoding:\tchunked, identity\r\n\r\n" + CHUNK + END,
    "CL as a list": NOTE + b"Content-Length: 19, 19\r\n\r\n" + BODY,
    "CL below zero": NOTE + b"Content-Length: -1\r\n\r\n" + BODY,
    "chunk ended by LF": CHUNKED + b"\r\n" + CHUNK.replace(b"\r\n", b"\n") + b"0\n\n",
    "chunk that is none": CHUNKED + b"\r\nzz\r\n" + BODY + b"\r\n" + END,
    "field without a name": NOTE + LENGTH + b": x\r\n\r\n" + BODY,
    "two tokens": NOTE + b"Authorization: Bearer x\r\n" + LENGTH + b"\r\n" + BODY,
    "another host in the target": b"GET http://evil/"
    + NAMED + b"Connection: close\r\n\r\n",
    "CONNECT": b"CONNECT evil:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0 by name": NOTE.replace(b"HTTP/1.1", b"HTTP/2.0") + LENGTH + b"\r\n" + BODY,
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 40 + b"\r\n\r\n",
    "upgrade with a body": NOTE
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + LENGTH + b"\r\n" + BODY,
}  # fmt: skip

TOO_LARGE = ("a head of 1 MiB", "10,000 fields")
