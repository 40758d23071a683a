"""The benchmark's load generator tells the truth: every figure stands on it."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.programs import ANOTHER, Load, LoadFailedError, build_native, request_file, run_load

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None, reason="the load generator is compiled by gcc: install it"
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
Answer = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    """Gives each request's head to `answer`; where it is."""

    ended: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        own = ended[-1]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(await answer(await reader.readuntil(b"\r\n\r\n")))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        own.set()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"tcp:127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for each in ended:
            await each.wait()


async def load(
    folder: Path, answer: Answer, connections: int = 2, rate: float = 0, fields: str = "",
    takes_refusals: bool = False,
) -> Load:  # fmt: skip
    """Half a second of it."""
    build_native()
    request = request_file(folder, "request", "/", b"", "token", fields)
    async with server(answer) as target:
        running = asyncio.to_thread(
            run_load, target, connections, 0.5, request, rate, "", takes_refusals
        )
        (result,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(result, BaseException):
        raise result
    return result


async def test_each_answer_is_counted_once(tmp_path: Path) -> None:
    heads = []

    async def answer(head: bytes) -> bytes:
        heads.append(head)
        return OK

    measured = await load(tmp_path, answer)

    assert measured.all_calls == len(heads)
    assert 0 < measured.calls < measured.all_calls, "the first tenth is not counted into the rate"
    assert len(set(heads)) == 1


async def test_an_answer_that_is_not_2xx_ends_the_run(tmp_path: Path) -> None:
    """A proxy whose upstream fails is very fast."""

    async def answer(head: bytes) -> bytes:
        return BUSY

    with pytest.raises(LoadFailedError, match=r"not 2xx: HTTP/1\.1 429"):
        await load(tmp_path, answer)


async def test_refusals_are_counted_apart_where_they_are_awaited(tmp_path: Path) -> None:
    turn = 0

    async def answer(head: bytes) -> bytes:
        nonlocal turn
        turn += 1
        return OK if turn % 4 == 0 else BUSY

    measured = await load(tmp_path, answer, connections=1, takes_refusals=True)

    assert measured.all_calls == turn // 4
    assert 2 < measured.refused / measured.calls < 4
    assert 0 < measured.refused_p50_us <= measured.refused_p99_us


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_chunked_answers_end_where_they_end(tmp_path: Path, size: int) -> None:
    """Chunks of any size, cut anywhere by the network."""
    body = b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for _ in range(20)) + b"0\r\n\r\n"
    served = 0

    async def answer(head: bytes) -> bytes:
        nonlocal served
        served += 1
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body

    assert (await load(tmp_path, answer)).all_calls == served


async def test_a_number_differs_in_each_request(tmp_path: Path) -> None:
    """A server that remembers the last head must not always find it again."""
    heads = []

    async def answer(head: bytes) -> bytes:
        heads.append(head)
        return OK

    await load(tmp_path, answer, fields=ANOTHER)

    assert len(set(heads)) == len(heads)
    assert len({len(head) for head in heads}) == 1


async def test_an_open_loop_counts_from_the_time_a_call_was_due(tmp_path: Path) -> None:
    """A slow server makes calls late; a closed loop would not even ask."""

    async def answer(head: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return OK

    measured = await load(tmp_path, answer, connections=1, rate=200)

    assert measured.max_us > 200_000
    assert measured.late > 20
