"""Hostile HTTP behind nginx and haproxy, whose connections to the router all callers share.

What a proxy reads otherwise than the router must not become an answer to somebody else, nor a
second execution. Where the proxies are neither there nor can be installed one line says so.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flows.house import House
from hostile.fuzz import AT_ONCE
from hostile.grammar import made
from hostile.ground import Ground, ids_are_unique, prepare, ran_once_each
from hostile.proxies import HAPROXY, NGINX, Proxy, program, running
from hostile.rawhttp import Door, Said, say
from hostile.shapes import FURTHER, GOOD, HIDDEN, HOSTILE
from hostile.slow import SLOW, suffer

SEED = 11
MADE = 150
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Behind:
    """A router, and the proxy before it."""

    ground: Ground
    proxy: Proxy
    door: Door

    async def serves_others(self) -> None:
        """Who comes next over the same connections gets an answer, and its own."""
        said = await asyncio.gather(
            *(say(self.door, HIDDEN, quiet_seconds=PATIENCE_SECONDS) for _ in range(4))
        )
        assert [one.statuses for one in said] == [[200]] * 4
        assert [one.answers[0].body for one in said] == [
            f'"{one.marks[1]}"'.encode() for one in said
        ]


@pytest.fixture(params=[NGINX, HAPROXY], ids=lambda proxy: str(proxy.name))
def behind(
    request: pytest.FixtureRequest, house: Callable[..., House], home: Path, tmp_path: Path
) -> Iterator[Behind]:
    """One proxy before an `up`."""
    proxy: Proxy = request.param
    binary = program(proxy.name)
    if binary is None:
        pytest.skip(f"{proxy.name} is not here and can not be installed: not run behind it")
    ground = Ground(house(prepare(home)))
    with running(proxy, binary, tmp_path, ground.door) as door:
        yield Behind(ground, proxy, door)


async def test_named_requests_are_never_answered_or_run_twice(behind: Behind) -> None:
    """5xx only where the proxy has a reason of its own; who comes next is not touched."""
    said: list[Said] = []
    for name, text in (HOSTILE | FURTHER).items():
        said.append(await say(behind.door, text + HIDDEN))
        statuses = said[-1].statuses
        assert len(statuses) <= 2, (name, statuses)
        own = behind.proxy.own.get(name)
        assert [s for s in statuses if s >= 500 and s != own] == [], (name, statuses)
        await behind.serves_others()
    ran_once_each(said, behind.ground.executed())
    ids_are_unique(said)
    behind.ground.serves()


async def test_made_requests_are_never_answered_or_run_twice(behind: Behind) -> None:
    """As test_hostile_fuzz.py, and every fifth caller is an ordinary one."""
    waiting = iter(range(MADE))
    said: list[Said] = []

    async def send_some() -> None:
        for number in waiting:
            one = made(SEED, number)
            came = await say(behind.door, one.data, one.pieces)
            assert len(came.answers) <= one.most_answers, number
            assert [s for s in came.statuses if s >= 500 and s not in (501, 505)] == [], number
            said.append(came)
            if number % 5 == 0:
                await behind.serves_others()

    await asyncio.gather(*(send_some() for _ in range(AT_ONCE)))
    ran_once_each(said, behind.ground.executed())
    ids_are_unique(said)
    behind.ground.serves()


async def test_slow_bodies_are_408_and_cost_nobody_a_connection(behind: Behind) -> None:
    """The router answers early and closes; the proxy passes that on and uses another connection."""
    shapes = {name: shape for name, shape in SLOW.items() if "body" in name and shape.seconds < 30}
    ended = await asyncio.gather(*(suffer(behind.door, shape) for shape in shapes.values()))
    found = {name: one.statuses for name, one in zip(shapes, ended, strict=True)}
    assert found == dict.fromkeys(shapes, (408,))
    await behind.serves_others()
    two = await say(behind.door, GOOD + HIDDEN, quiet_seconds=PATIENCE_SECONDS)
    assert two.statuses == [200, 200]
    behind.ground.serves()
