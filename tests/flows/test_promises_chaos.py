"""What callers are told is what happened, whichever process is killed under them."""

import itertools
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from flows.house import House, manifest, open_house, wait_for
from flows.parts import RouterAsker, lines, tree
from flows.whole import Asker, beside_examples, troubles

from pythonpool.errors import BY_CODE

POOLS = (
    troubles("exact", "concurrency: 2\nqueue: {maxLength: 200}"),
    troubles("narrow", "queue: {maxLength: 20, timeoutSeconds: 60}", seconds=60),
    troubles("chaos", "replicas: 2\nconcurrency: 2\nqueue: {maxLength: 100, timeoutSeconds: 20}"),
)
CALLS = 120


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One `up` with two routers."""
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    opened = open_house(home, [beside_examples(home / "files", *POOLS)], "--routers", "2")
    yield opened
    assert opened.close() == 0
    assert list((home / "run").iterdir()) == []
    shutil.rmtree(home)


def test_one_call_one_slot_through_two_routers(house: House, tmp_path: Path) -> None:
    """Never more than two at once, nobody is forgotten, and both routers get their share."""
    journal = tmp_path / "journal"
    routers = [RouterAsker(house, index) for index in (0, 1)]

    def call(number: int) -> int:
        args = {"path": str(journal), "line": str(number), "seconds": 0.01}
        return routers[number % 2].run("exact", "journal", args).status

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(call, range(CALLS))) == {200}

    running: set[str] = set()
    most = 0
    for line in lines(journal):
        part, number = line.split()
        (running.add if part == "begin" else running.remove)(number)
        most = max(most, len(running))
    assert most == 2
    assert len(lines(journal)) == 2 * CALLS


def test_the_line_is_the_pools(house: House) -> None:
    """Within a tenth: however many routers there are, and whichever of them callers come to."""
    routers = [RouterAsker(house, index) for index in (0, 1)]

    def waiting() -> int:
        return sum(int(router.pool("narrow")["queued"]) for router in routers)

    with ExitStack() as held:
        for number in range(41):
            held.enter_context(routers[number % 2].held("narrow", "sleep", {"seconds": 60}))
        wait_for(lambda: waiting() >= 18)
        assert waiting() <= 22
    wait_for(lambda: waiting() == 0 and routers[0].pool("narrow")["available"] == 1)
    with ExitStack() as held:

        def more() -> bool:
            # One alone takes half of what is left, and half again when the news has gone round.
            held.enter_context(routers[0].held("narrow", "sleep", {"seconds": 60}))
            return waiting() >= 18

        wait_for(more, 20.0)
        assert waiting() <= 22
    wait_for(lambda: waiting() == 0)


def test_every_answer_is_true(house: House, tmp_path: Path) -> None:
    """Executors, agents, keepers and routers die; each call ran as often as its outcome says."""
    journal = tmp_path / "journal"
    routers = [RouterAsker(house, index) for index in (0, 1)]
    done = Counter[str]()

    def call(number: int) -> tuple[int, str]:
        args = {"path": str(journal), "line": str(number), "seconds": 0.05}
        try:
            answer = routers[number % 2].run("chaos", "journal", args)
        except OSError:
            outcome = "unknown"  # its router died
        else:
            code = answer.code
            outcome = "ok" if code == "ok" else answer.json["outcome"]
            assert code == "ok" or code in BY_CODE
            assert code != "internal", answer.body
        done[outcome] += 1
        return number, outcome

    victims = itertools.cycle(("executor", "agent", "executor", "keeper", "router", "template"))
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(call, number) for number in range(CALLS)]
        for victim, share in zip(victims, range(10, CALLS - 10, 10), strict=False):
            wait_for(lambda share=share: sum(done.values()) >= share, 30)  # type: ignore[misc]
            _kill(house, victim)
        outcomes = dict(call.result() for call in calls)

    ran = Counter(line.split()[1] for line in lines(journal) if line.startswith("begin"))
    ended = Counter(line.split()[1] for line in lines(journal) if line.startswith("end"))
    for number, outcome in outcomes.items():
        runs, ends = ran[str(number)], ended[str(number)]
        assert (outcome, runs, ends) in {
            ("ok", 1, 1),
            ("not_started", 0, 0),
            ("unknown", 0, 0),
            ("unknown", 1, 0),
            ("unknown", 1, 1),
        }
    assert done["ok"] >= CALLS / 2
    asker = Asker(house)
    wait_for(lambda: _available(asker) == 4, 30)


def _kill(house: House, victim: str) -> None:
    """Kill -9 of one process of the first worker, or of a router."""
    if victim == "router":
        os.kill(house.record("up.json")["routers"][0]["pid"], signal.SIGKILL)
        return
    try:
        parts = tree(house, "chaos")
    except (StopIteration, OSError, TypeError, IndexError):
        return  # it is being replaced
    pids = {"agent": parts.agent, "keeper": parts.keeper, "template": parts.template}
    executors = sorted(parts.executors)
    pid = pids.get(victim, executors[0] if executors else 0)
    if pid:
        os.kill(pid, signal.SIGKILL)


def _available(asker: Asker) -> int:
    try:
        return int(asker.pool("chaos")["available"])
    except OSError:
        return 0


def test_after_a_new_up_sessions_are_gone(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(manifest("general", "{adapter: general}"))
    first = open_house(home, [file])
    handle = Asker(first).session("general")
    assert first.close() == 0
    second = open_house(home, [file])
    answer = Asker(second).in_session(handle, "ping")

    assert second.close() == 0
    assert (answer.code, answer.json["cause"]) == ("session_lost", "worker_gone")
