"""The router's event loop hands bytes over by itself and leaves everything else to asyncio."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing

import pytest

from pythonpool.turns import TurnLoop, end_of_turn, hand_over, hand_over_from, leave, leave_to


class Taker(asyncio.Protocol):
    """Remembers what it was given: `taken` by the loop itself, `received` by asyncio."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.received: list[bytes] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()
        self.does: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        hand_over(transport, self.take)

    def take(self, data: bytes) -> None:
        self.taken.append(data)
        self.news.set()
        self.does()

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        self.news.set()
        self.does()

    def connection_lost(self, error: Exception | None) -> None:
        leave(self.transport)
        self.ended.set_result(None)


class Pairs:
    """Takers and the sockets that they are connected to; closed at the end."""

    def __init__(self) -> None:
        self._ends = ExitStack()

    async def new(self) -> tuple[Taker, socket.socket]:
        mine, other = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, taker = await loop.connect_accepted_socket(Taker, mine)
        self._ends.enter_context(closing(other))
        self._ends.callback(transport.abort)
        return taker, other

    async def close(self) -> None:
        self._ends.close()
        await asyncio.sleep(0)


def run(
    story: Callable[[Pairs], Awaitable[None]], factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def within_time() -> None:
        pairs = Pairs()
        async with asyncio.timeout(5):
            await story(pairs)
        await pairs.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(within_time())


async def _heard(taker: Taker) -> None:
    await taker.news.wait()
    taker.news.clear()


def test_bytes_are_handed_over_and_the_end_is_told_in_the_ordinary_way() -> None:
    async def story(pairs: Pairs) -> None:
        taker, other = await pairs.new()
        other.send(b"one")
        await _heard(taker)
        other.send(b"two")
        await _heard(taker)
        assert (taker.taken, taker.received) == ([b"one", b"two"], [])
        other.close()
        await taker.ended

    run(story, TurnLoop)


def test_on_another_loop_asyncio_does_all_of_it() -> None:
    async def story(pairs: Pairs) -> None:
        taker, other = await pairs.new()
        other.send(b"one")
        await _heard(taker)
        assert (taker.taken, taker.received) == ([], [b"one"])
        other.close()
        await taker.ended

    run(story, asyncio.SelectorEventLoop)


def test_a_taker_that_fails_loses_its_connection_and_no_other() -> None:
    async def story(pairs: Pairs) -> None:
        broken, its_other = await pairs.new()
        whole, other = await pairs.new()

        def fails() -> None:
            raise RuntimeError("a defect")

        broken.does = fails
        its_other.send(b"x")
        await broken.ended
        other.send(b"y")
        await _heard(whole)
        assert whole.taken == [b"y"]

    run(story, TurnLoop)


@pytest.mark.parametrize("way", ["abort", "pause_reading"])
def test_who_was_closed_or_paused_earlier_in_the_same_turn_is_not_read(way: str) -> None:
    async def story(pairs: Pairs) -> None:
        first, first_other = await pairs.new()
        second, second_other = await pairs.new()
        for taker, its_neighbour in ((first, second), (second, first)):
            taker.does = getattr(its_neighbour.transport, way)
        first_other.send(b"x")
        second_other.send(b"y")
        await asyncio.sleep(0)
        assert len(first.taken) + len(second.taken) == 1
        assert not first.received + second.received

    run(story, TurnLoop)


def test_a_connection_that_reads_on_is_handed_what_has_come_meanwhile() -> None:
    async def story(pairs: Pairs) -> None:
        taker, other = await pairs.new()
        taker.transport.pause_reading()
        other.send(b"x")
        await asyncio.sleep(0)
        assert not taker.taken
        taker.transport.resume_reading()
        await _heard(taker)
        assert taker.taken == [b"x"]

    run(story, TurnLoop)


def test_a_write_that_does_not_go_out_whole_is_finished_and_reading_goes_on() -> None:
    async def story(pairs: Pairs) -> None:
        taker, other = await pairs.new()
        size = 4_000_000
        taker.transport.write(b"z" * size)
        other.send(b"x")
        await _heard(taker)
        loop = asyncio.get_running_loop()
        other.setblocking(False)
        got = 0
        while got < size:
            got += len(await loop.sock_recv(other, 262_144))
        other.send(b"y")
        await _heard(taker)
        assert taker.taken + taker.received in ([b"x", b"y"], [b"y", b"x"])

    run(story, TurnLoop)


def test_what_a_taker_asks_of_the_loop_is_done_though_nothing_else_comes() -> None:
    async def story(pairs: Pairs) -> None:
        taker, other = await pairs.new()
        loop = asyncio.get_running_loop()
        soon, later = loop.create_future(), loop.create_future()

        def asks() -> None:
            loop.call_soon(soon.set_result, None)
            loop.call_later(0.001, later.set_result, None)

        taker.does = asks
        other.send(b"x")
        await soon
        await later

    run(story, TurnLoop)


@pytest.mark.parametrize("factory", [TurnLoop, asyncio.SelectorEventLoop])
def test_the_end_of_a_turn_comes_once_and_before_the_loop_waits(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def story(pairs: Pairs) -> None:
        taker, other = await pairs.new()
        at_end = end_of_turn()
        ended: list[str] = []
        done = asyncio.get_running_loop().create_future()

        def last() -> None:
            ended.append("in a turn")
            done.set_result(None)

        at_end(lambda: ended.append("in a callback"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == ["in a callback"]

        def asks() -> None:
            at_end(last)

        taker.does = asks
        other.send(b"x")
        await done
        await asyncio.sleep(0)
        assert ended == ["in a callback", "in a turn"]

    run(story, factory)


def test_a_descriptor_is_read_for_its_taker_and_its_end_told_to_the_reader() -> None:
    async def story(pairs: Pairs) -> None:
        loop = asyncio.get_running_loop()
        mine, other = socket.socketpair()
        mine.setblocking(False)
        taken, ended = loop.create_future(), loop.create_future()
        hand_over_from(mine.fileno(), taken.set_result, mine.close)

        def at_the_end() -> None:
            loop.remove_reader(mine)
            ended.set_result(mine.recv(10))

        loop.add_reader(mine, at_the_end)
        other.send(b"x")
        assert await taken == b"x"
        other.close()
        assert await ended == b""
        leave_to(mine.fileno())
        mine.close()

    run(story, TurnLoop)
