"""What the operator makes of those who answer in place of a namespace's routers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from pythonpool_operator.kinds import Key
from pythonpool_operator.load import NOTHING
from pythonpool_operator.routers import Routers, asking
from pythonpool_operator.settings import Api, Settings

SHOP = Key("here", "shop")
SECONDS = 20.0

Served = AsyncIterator[tuple[Routers, list[bytes]]]


def load(**more: object) -> bytes:
    """A router's answer that tells of one worker."""
    told = {"name": "a", "busy": 1, "sessions": 0, "replace": "", "protocol": 2, **more}
    pools = [{"name": "shop", "workers": [told], "refused": []}]
    return orjson.dumps({"router": "r", "protocol": [2, 2], "pools": pools})


def answer(body: bytes, head: bytes = b"200 OK") -> bytes:
    about = b"Content-Type: application/json\r\nContent-Length: %d" % len(body)
    return b"HTTP/1.1 %s\r\n%s\r\n\r\n%s" % (head, about, body)


@asynccontextmanager
async def answering(answers: Callable[[int], bytes]) -> Served:
    """A router that gives these answers, the first to the first request; and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            asked.append(line)
            writer.write(answers(len(asked)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    nowhere = Api("", None, None)
    settings = Settings(nowhere, "", load_host="127.0.0.1", load_port=port, load_seconds=0.01)
    async with server, asking(settings) as routers:
        yield routers, asked


async def test_a_redirection_is_not_followed() -> None:
    def away(_: int) -> bytes:
        return answer(b"", b"302 Found\r\nLocation: /elsewhere")

    async with answering(away) as (routers, asked), asyncio.timeout(SECONDS):
        assert not await routers.ask("here")

    assert asked == [b"GET /load HTTP/1.1\r\n"]


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    long = load(replace="x" * 2_000_000)
    async with answering(lambda _: answer(long)) as (routers, _), asyncio.timeout(SECONDS):
        assert not await routers.ask("here")
        assert routers.load(SHOP) == NOTHING


@pytest.mark.parametrize(
    "wrong",
    [
        b"[]",
        b"nonsense",
        load().replace(b'"busy":1', b'"busy":1e999'),
        load().replace(b'"protocol":2', b'"protocol":1e999'),
        b"[" * 100_000,
    ],
)
async def test_nonsense_does_not_end_the_watch(wrong: bytes) -> None:
    """The next answer, which is in order again, is news."""
    news: asyncio.Queue[Key] = asyncio.Queue()
    good = load(replace="age")

    def recovering(number: int) -> bytes:
        return answer(wrong if number == 1 else good)

    async with answering(recovering) as (routers, _), asyncio.timeout(SECONDS):
        watching = asyncio.create_task(routers.watch(lambda: ["here"], news.put_nowait))
        assert await news.get() == SHOP
        watching.cancel()


async def test_namespaces_without_pools_are_forgotten() -> None:
    places = ["here"]
    news: asyncio.Queue[Key] = asyncio.Queue()
    body = load(replace="age")
    async with answering(lambda _: answer(body)) as (routers, _), asyncio.timeout(SECONDS):
        await routers.ask("gone")
        watching = asyncio.create_task(routers.watch(lambda: places, news.put_nowait))
        await news.get()
        while routers.load(Key("gone", "shop")) != NOTHING:
            await routers.ask("here")
        watching.cancel()
