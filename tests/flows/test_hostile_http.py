"""Hostile HTTP on a real `up`: smuggling shapes, slow shapes, and a crowd that holds its sockets.

Never two answers to one request, never 5xx, and an end to each within 35 seconds. The same behind
proxies is in test_hostile_proxies.py, requests made by seed in test_hostile_fuzz.py.
"""

import asyncio
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flows.house import House
from hostile.ground import Ground, ids_are_unique, prepare, ran_once_each
from hostile.rawhttp import Said, say
from hostile.shapes import FURTHER, GOOD, HIDDEN, HOSTILE, NOTE, TOO_LARGE
from hostile.slow import CLOSED_SECONDS, OPEN_SESSION, SLOW, suffer

Open = Callable[..., House]

LATE_SECONDS = 2.5
"""Deadlines are looked at twice a second; the rest is for a machine that is busy."""

HELD = 1000
ORDINARY = 300
HELD_BYTES_EACH = 20_000


@pytest.fixture
def ground(house: Open, home: Path) -> Ground:
    """A running `up`."""
    return Ground(house(prepare(home)))


async def test_named_requests_get_one_answer_and_hide_none(ground: Ground) -> None:
    """400 or 431, then closed: neither it nor the request behind it is executed."""
    shapes = HOSTILE | FURTHER
    texts = [text + HIDDEN for text in shapes.values()]
    said = await asyncio.gather(*(say(ground.door, text) for text in texts))

    found = {name: one.statuses for name, one in zip(shapes, said, strict=True)}
    assert found == {name: [431 if name in TOO_LARGE else 400] for name in shapes}
    assert all(one.answers[0].fields["connection"] == "close" for one in said)
    executed = ground.executed()
    assert [mark for one in said for mark in one.marks if executed[mark]] == []
    ground.serves()


async def test_a_good_request_and_the_one_behind_it_are_two(ground: Ground) -> None:
    """What shows that executions are counted: two answers, two executions."""
    said = await say(ground.door, GOOD + HIDDEN)
    assert said.statuses == [200, 200]
    assert [ground.executed()[mark] for mark in said.marks] == [1, 1]
    ids_are_unique([said])
    ran_once_each([said], ground.executed())


class Held:
    """A caller that keeps its socket and never finishes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ended(self) -> float:
        """Wait for the router to close; when it did."""
        try:
            while await self._reader.read(65_536):
                continue
        except ConnectionError:
            pass
        self._writer.close()
        return time.monotonic()


async def hold(ground: Ground, number: int) -> Held:
    """One of three kinds: silent, half a head, half a body."""
    reader, writer = await asyncio.open_connection(ground.door.host, ground.door.port)
    token = ground.door.token.encode()
    text = (b"", NOTE[:60], OPEN_SESSION.replace(b"@TOKEN@", token) + b"{")[number % 3]
    writer.write(text)
    return Held(reader, writer)


async def ordinary_calls(ground: Ground) -> list[Said]:
    """Ordinary callers, one after the other."""
    return [await say(ground.door, HIDDEN, quiet_seconds=5.0) for _ in range(ORDINARY)]


async def test_slow_callers_and_held_sockets_end_within_35_seconds(ground: Ground) -> None:
    """All shapes and 1,000 held sockets at once, in real time; others are served meanwhile."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ground.serves()
    before, descriptors = ground.resident_bytes(), ground.descriptors()
    held = [await hold(ground, number) for number in range(HELD)]
    slow = {name: asyncio.create_task(suffer(ground.door, shape)) for name, shape in SLOW.items()}

    all_held = time.monotonic()
    said = await ordinary_calls(ground)
    assert [one.statuses for one in said] == [[200]] * ORDINARY
    assert ground.resident_bytes() - before < HELD * HELD_BYTES_EACH

    ends = await asyncio.gather(*(one.ended() for one in held))
    assert max(ends) - all_held < CLOSED_SECONDS + LATE_SECONDS
    for name, task in slow.items():
        ended = await task
        assert ended.statuses == SLOW[name].statuses, (name, ended)
        assert ended.seconds < SLOW[name].seconds + LATE_SECONDS, (name, ended)
    ground.serves()
    assert ground.descriptors() <= descriptors + 2
    ran_once_each(said, ground.executed())
