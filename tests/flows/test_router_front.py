"""What the front takes and what it refuses: strict HTTP, who may come in, and in which order."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from router_house import TOKEN, RouterHouse, echo, router_house

HEAD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
EXECUTE = "POST /v1/pools/general/execute/echo HTTP/1.1\r\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RouterHouse]:
    async with router_house(tmp_path) as built:
        built.pool("general")
        await built.start()
        await built.worker("general", on_call=echo)
        yield built


BROKEN = {
    "CL and TE": EXECUTE
    + HEAD
    + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CL": EXECUTE + HEAD + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two Hosts": EXECUTE + HEAD + "Host: localhost\r\nContent-Length: 2\r\n\r\n{}",
    "no Host": EXECUTE + f"Authorization: Bearer {TOKEN}\r\n\r\n",
    "two tokens": EXECUTE + HEAD + "Authorization: Bearer x\r\n\r\n",
    "bare LF": (EXECUTE + HEAD + "\r\n").replace("\r\n", "\n"),
    "bare LF in one field": EXECUTE + HEAD + "X: y\nZ: w\r\n\r\n",
    "obs-fold": EXECUTE + HEAD + "X: y\r\n z\r\n\r\n",
    "NUL in a field": EXECUTE + HEAD + "X: a\0b\r\n\r\n",
    "NUL in the target": "GET /v1/\0 HTTP/1.1\r\n" + HEAD + "\r\n",
    "blank in a name": EXECUTE + HEAD + "X : y\r\n\r\n",
    "bad chunk": EXECUTE + HEAD + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "another coding": EXECUTE + HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2.0": f"GET /livez HTTP/2.0\r\n{HEAD}\r\n",
    "HTTP/0.9": "GET /livez\r\n\r\n",
    "negative length": EXECUTE + HEAD + "Content-Length: -1\r\n\r\n",
    "no HTTP": "\x16\x03\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_requests_are_refused_and_closed(house: RouterHouse, text: str) -> None:
    """400, a problem object, and no second request is read from this connection."""
    caller = await house.caller()
    caller.send(text.encode("latin-1") + (EXECUTE + HEAD + "\r\n").encode())
    reply = await caller.reply()
    assert (reply.status, reply.json()["code"]) == (400, "invalid_argument")
    assert reply.headers["connection"] == "close"
    assert await caller.is_closed()


@pytest.mark.parametrize(
    "fields",
    ["X-Long: " + "y" * 17_000 + "\r\n", "".join(f"X-{i}: y\r\n" for i in range(70))],
    ids=["bytes", "fields"],
)
async def test_heads_over_the_bounds(house: RouterHouse, fields: str) -> None:
    """431, whether they come at once or in pieces."""
    for size in (100_000, 1000):
        caller = await house.caller()
        text = (EXECUTE + HEAD + fields + "\r\n").encode()
        for at in range(0, len(text), size):
            caller.send(text[at : at + size])
        reply = await caller.reply()
        assert (reply.status, reply.json()["code"]) == (431, "header_too_large")


async def test_an_endless_head_is_cut(house: RouterHouse) -> None:
    """Also when no end of it is in sight."""
    caller = await house.caller()
    caller.send((EXECUTE + HEAD + "X: ").encode() + b"y" * 200_000)
    assert (await caller.reply()).status == 431


async def test_pipelined_requests_are_answered_in_order(house: RouterHouse) -> None:
    """Bodies keep to their requests."""
    caller = await house.caller()
    for number in range(200):
        caller.request("POST", "/v1/pools/general/execute/echo", b"%d" % number)
    assert [(await caller.reply()).body for _ in range(200)] == [b"%d" % n for n in range(200)]


async def test_pipelined_bodies_of_any_length(house: RouterHouse) -> None:
    """Wherever the parser's slices end: before a body, in it, or many slices before its end."""
    for first in [*range(16_000, 16_400), 33_000]:
        bodies = [b"1" * first, b"2" * 300, b"3" * 40_000, b"4"]
        caller = await house.caller()
        caller.send(b"".join(EXECUTE.encode() + _rest(body) for body in bodies))
        assert [(await caller.reply()).body for _ in bodies] == bodies
        await caller.close()


def _rest(body: bytes) -> bytes:
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_bytes_that_come_with_the_answer_run_nothing_twice(tmp_path: Path) -> None:
    """The rest of a second request and the first one's result come in one turn of the loop."""
    async with router_house(tmp_path) as house:
        house.pool("general")
        router = await house.start()
        worker = await house.worker("general")
        caller = await house.caller()
        first, second = (
            (EXECUTE + HEAD + f"Content-Length: 3\r\n\r\n[{number}]").encode() for number in (1, 2)
        )
        caller.send(first)
        sent = await worker.call()
        caller.send(second[:20])
        await house.ask("GET", "/livez")  # the router has read them meanwhile

        router.send_signal(signal.SIGSTOP)
        worker.result(sent.number, b"[1]")
        caller.send(second[20:40])
        router.send_signal(signal.SIGCONT)

        assert (await caller.reply()).body == b"[1]"
        caller.send(second[40:])
        following = await worker.call()
        assert following.call.body == b"[2]"
        worker.result(following.number, b"[2]")
        assert (await caller.reply()).body == b"[2]"


async def test_a_broken_request_behind_a_good_one(house: RouterHouse) -> None:
    """The good one is answered first."""
    caller = await house.caller()
    caller.request("POST", "/v1/pools/general/execute/echo", b"1")
    caller.send(b"NONSENSE\r\n\r\n")
    assert (await caller.reply()).body == b"1"
    assert (await caller.reply()).status == 400
    assert await caller.is_closed()


async def test_connection_close_is_obeyed(house: RouterHouse) -> None:
    """The answer says so too."""
    caller = await house.caller()
    caller.request("POST", "/v1/pools/general/execute/echo", b"1", Connection="close")
    reply = await caller.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert await caller.is_closed()


async def test_slow_bytes_are_put_together(house: RouterHouse) -> None:
    """A head in single bytes is the same head."""
    caller = await house.caller()
    for byte in (EXECUTE + HEAD + "Content-Length: 2\r\n\r\n[]").encode():
        caller.send(bytes((byte,)))
        await caller.writer.drain()
    assert (await caller.reply()).body == b"[]"


@pytest.mark.parametrize(
    "token", ["", "Bearer wrong", "Basic t0ken", TOKEN], ids=["none", "wrong", "basic", "bare"]
)
async def test_no_valid_token_is_401_everywhere(house: RouterHouse, token: str) -> None:
    """Also where the answer would be 404 or 405."""
    for method, target in (
        ("POST", "/v1/pools/general/execute/echo"),
        ("POST", "/v1/pools/nowhere/execute/echo"),
        ("GET", "/v1/pools/general/execute/echo"),
        ("GET", "/v1/nothing"),
        ("GET", "/metrics"),
    ):
        reply = await house.ask(method, target, b"{}", Authorization=token)
        assert (reply.status, reply.json()["code"]) == (401, "unauthenticated"), target
        assert reply.headers["www-authenticate"] == "Bearer"
        assert ("pythonpool-execution-id" in reply.headers) == ("execute" in target)


async def test_foreign_hosts_and_origins_are_403(house: RouterHouse) -> None:
    """DNS rebinding and foreign pages, before the token is looked at."""
    target = "/v1/pools/general/execute/echo"
    for fields in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        reply = await house.ask("POST", target, b"{}", 0, Authorization="", **fields)
        assert (reply.status, reply.json()["code"]) == (403, "permission_denied"), fields
    for host in ("127.0.0.1:8080", "LOCALHOST", "[::1]:8080"):
        reply = await house.ask("POST", target, b"{}", Host=host, Origin=f"http://{host}")
        assert reply.status == 200, host
    assert (await house.ask("GET", "/livez", Host="10.1.2.3")).status == 200


async def test_wrong_method_and_wrong_names(house: RouterHouse) -> None:
    """405 with Allow; 400 for what no pool or command can be called."""
    reply = await house.ask("GET", "/v1/pools/general/execute/echo")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    for target in (
        "/v1/pools/General/execute/echo",
        "/v1/pools/general/execute/Echo",
        "/v1/pools/general/execute/e%2fcho",
        "/v1/pools/general/execute/..",
        "/v1/pools/general/execute/%00",
        "/v1/pools/general/execute/%zz",
        "/v1/pools/general/execute/echo?timeout=1&timeout=1",
        "/v1/pools/general/execute/echo?other=1",
        "/v1/pools/general/execute/echo?timeout=0",
        "/v1/pools/general/execute/echo?timeout=3601",
        "/v1/pools/general/execute/echo?timeout=1e3",
        "/v1/pools/general/execute/echo?queue_timeout=3601",
        "/v1/pools/general/execute/echo?queue_timeout=-1",
    ):
        reply = await house.ask("POST", target, b"{}")
        assert (reply.status, reply.json()["code"]) == (400, "invalid_argument"), target
        assert reply.headers["pythonpool-execution-id"]


async def test_later_headers(house: RouterHouse) -> None:
    """Idempotency-Key is refused, Prefer is passed over, a percent-coded name is the name."""
    target = "/v1/pools/general/execute/echo"
    assert (await house.ask("POST", target, b"{}", Idempotency_Key="k")).status == 400
    assert (await house.ask("POST", target, b"{}", Prefer="respond-async")).status == 200
    assert (await house.ask("POST", "/v1/pools/%67eneral/execute/echo", b"{}")).status == 200


async def test_head_and_an_offer_of_http2(house: RouterHouse) -> None:
    """No body for HEAD; an offered upgrade is passed over."""
    caller = await house.caller()
    caller.request("HEAD", "/livez")
    assert (await caller.reply("HEAD")).status == 200
    caller.request("GET", "/livez", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c")
    assert (await caller.reply()).status == 200
    caller.request("GET", "/livez")
    assert (await caller.reply()).status == 200


async def test_a_half_closed_connection_is_a_caller_gone(tmp_path: Path) -> None:
    """It leaves, as a closed one does."""
    async with router_house(tmp_path) as house:
        house.pool("general")
        await house.start()
        worker = await house.worker("general")
        caller = await house.caller()
        caller.request("POST", "/v1/pools/general/execute/echo", b"{}")
        sent = await worker.call()
        caller.writer.write_eof()
        assert (await worker.frame(26))[0] == sent.number


async def test_an_inherited_tcp_listener(tmp_path: Path) -> None:
    """As the supervisor hands it to each of its routers."""
    async with router_house(tmp_path) as house:
        house.pool("general")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.set_inheritable(True)
            await house.start("--listen-fd", str(listener.fileno()), passes=[listener.fileno()])
            host, port = listener.getsockname()
        await house.worker("general", on_call=echo)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write((EXECUTE + HEAD + "Content-Length: 2\r\n\r\n{}").encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        await writer.wait_closed()
