"""Bad neighbours: adapters that take all they can get. Each test is a row of the guide.

What every one of them shows: the caller is told why, other pools do not notice, and the pool
serves again by itself.
"""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flows.house import House, manifest, open_house, processes_below, wait_for
from flows.parts import Beside, Stalls, run_milliseconds, tree
from flows.whole import Asker, is_alive
from guide import row
from limits import process_limit

MIB = 1024 * 1024
CODE = Path(__file__).parents[1] / "neighbours.py"


def pool(name: str, spec: str = "resources: {memory: 1Gi}") -> str:
    """A pool of bad neighbours."""
    return manifest(name, f"adapter: neighbours:Neighbours\n{spec}")


POOLS = (
    pool("quiet"),
    pool("bad"),
    pool("small", "resources: {memory: 256Mi}"),
    pool("grown", "resources: {memory: 256Mi}\nconfig: {start: grow}"),
)


def written(folder: Path, *manifests: str) -> Path:
    """A manifest file in a folder where the adapter is found."""
    folder.mkdir()
    (folder / "neighbours.py").symlink_to(CODE)
    path = folder / "pools.yaml"
    path.write_text("".join(manifests))
    return path


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    opened = open_house(home, [written(home / "files", *POOLS)])
    yield opened
    assert opened.close() == 0
    assert list((home / "run").iterdir()) == []
    shutil.rmtree(home)


@pytest.fixture
def asker(house: House) -> Asker:
    return Asker(house)


@pytest.fixture
def beside(asker: Asker) -> Iterator[Beside]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        yield Beside(asker, threads)


@contextmanager
def others_go_on(asker: Asker) -> Iterator[None]:
    """Another pool is called all the time meanwhile; every call of it must succeed."""
    is_over = threading.Event()
    wrong: list[object] = []
    calls = 0

    def call() -> None:
        nonlocal calls
        while not is_over.wait(0.05):
            answer = asker.run("quiet", "who", None, "timeout=5&queue_timeout=5")
            calls += 1
            if answer.status != 200:
                wrong.append(answer.body)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert not wrong
    assert calls


def log_of(asker: Asker, name: str) -> str:
    """All that the pool's workers have logged."""
    logs = sorted((asker.house.home / "logs").glob(f"{name}-*.log*"))
    return "".join(path.read_text(errors="replace") for path in logs)


def serves(asker: Asker, name: str) -> bool:
    """A call of the pool succeeds."""
    return pid_of(asker, name) > 0


def leave(asker: Asker, name: str) -> None:
    """The executor that is called next ends; the one after it answers the next call."""
    assert asker.run(name, "leave", None, "queue_timeout=20").code == "worker_crashed"


def pid_of(asker: Asker, name: str) -> int:
    """The process that runs the pool's next call."""
    answer = asker.run(name, "who", None, "queue_timeout=20")
    assert answer.status == 200, answer.body
    pid: int = answer.json
    return pid


def test_output_flood(asker: Asker) -> None:
    """stdout as fast as it takes: the writer waits, the log is bounded, others answer."""
    with others_go_on(asker):
        answer = asker.run("bad", "flood", {"megabytes": 2})

    sizes = [path.stat().st_size for path in (asker.house.home / "logs").glob("bad-*")]
    assert sum(sizes) < 24 * MIB
    row("output-flood").holds(caller=str(answer.status), shown=log_of(asker, "bad"))
    assert serves(asker, "bad")


def test_closed_descriptors(asker: Asker) -> None:
    """Also the channel to the agent: the process ends itself, or its deadline does it."""
    with others_go_on(asker):
        answer = asker.run("bad", "close_all")
        late = asker.run("bad", "close_all", {"then": "wait"}, "timeout=0.5")

    assert late.code == "timeout"
    row("closed-descriptors").holds(caller=answer.body.decode(), shown=log_of(asker, "bad"))
    assert serves(asker, "bad")


def test_files_exhausted(asker: Asker) -> None:
    """A process has its own descriptors: it alone is hit, and its next call has them again."""
    with others_go_on(asker):
        answer = asker.run("bad", "open_files", {"seconds": 0.2})

    row("files-exhausted").holds(caller=answer.body.decode(), shown=asker.metrics())
    assert serves(asker, "bad")


@pytest.mark.parametrize("how", ["plain", "setsid"])
def test_fork_bomb(asker: Asker, beside: Beside, how: str) -> None:
    """All of it is dead a second after the deadline, also what has left its session."""
    keeper = tree(asker.house, "bad").keeper
    spared = {pid_of(asker, "bad"), keeper}
    path = asker.house.home / f"bomb-{how}"
    args = {"most": 60, "path": str(path), "how": how}
    with others_go_on(asker), Stalls() as stalls:
        answer = beside.run("bad", "fork_for_ever", args, "timeout=3")
        wait_for(path.exists)
        assert len(processes_below(keeper)) > 20
        doomed = set(processes_below(keeper)) - set(tree(asker.house, "bad").executors) - spared
        doomed.discard(tree(asker.house, "bad").template)
        late = answer.result()
        deadline = time.monotonic() - run_milliseconds(late) / 1000 + 3
        wait_for(lambda: not any(map(is_alive, doomed)))
        took = time.monotonic() - deadline - stalls.since(deadline)
    assert took < 1.0

    row("fork-bomb").holds(caller=late.body.decode(), shown=_router_log(asker))
    assert serves(asker, "bad")
    wait_for(lambda: len(processes_below(keeper)) <= 3)


def _router_log(asker: Asker) -> str:
    return (asker.house.home / "logs" / "router-0.log").read_text()


def test_four_gigabytes(asker: Asker) -> None:
    """In one allocation: the process that grew is killed, long before it has them."""
    with others_go_on(asker):
        answer = asker.run("small", "take_at_once", {"megabytes": 4096})

    assert answer.json["limit_bytes"] == 256 * MIB
    assert answer.json["peak_bytes"] < 2048 * MIB
    row("four-gigabytes").holds(caller=answer.body.decode(), shown=log_of(asker, "small"))
    assert serves(asker, "small")


def test_template_dies(asker: Asker) -> None:
    """Executors live on; one that dies is replaced once the next template is there."""
    before = tree(asker.house, "bad").template
    with others_go_on(asker):
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: "the template died" in log_of(asker, "bad"))
        answer = asker.run("bad", "who")
        for _ in range(3):
            leave(asker, "bad")

    row("template-dies").holds(caller=str(answer.status), shown=log_of(asker, "bad"))
    assert serves(asker, "bad")
    assert tree(asker.house, "bad").template != before


def test_template_hangs(asker: Asker) -> None:
    """Nobody notices until forks are needed; then it is killed after 5 s, and the line waits."""
    wait_for(lambda: len(tree(asker.house, "bad").executors) == 2)
    template = tree(asker.house, "bad").template
    with others_go_on(asker):
        os.kill(template, signal.SIGSTOP)
        for _ in range(2):
            leave(asker, "bad")
        answer = asker.run("bad", "who", None, "queue_timeout=20")

    row("template-hangs").holds(caller=str(answer.status), shown=log_of(asker, "bad"))
    assert not is_alive(template)


def test_template_grows(asker: Asker) -> None:
    """start() takes more than the pool has: no worker starts, and it says what to raise."""
    answer = asker.run("grown", "who", None, "queue_timeout=0")

    assert '"grown","ready":false' in _compact(asker)
    row("template-grows").holds(caller=answer.body.decode(), shown=asker.house.said)
    assert serves(asker, "quiet")


def _compact(asker: Asker) -> str:
    return "".join(f'"{each["name"]}","ready":{each["ready"]}'.lower() for each in _pools(asker))


def _pools(asker: Asker) -> list[dict[str, object]]:
    items: list[dict[str, object]] = asker.ask("GET", "/v1/pools").json["items"]
    return items


def test_processes_exhausted(home: Path) -> None:
    """An adapter takes every process that the system gives: calls go on, forks wait for it."""
    with process_limit(70) as birth:
        house = open_house(home, [written(home / "files", *POOLS[:2])], birth=birth)
        asker = Asker(house)
        taken = home / "taken"
        wait_for(lambda: len(tree(house, "quiet").executors) == 2)
        try:
            with asker.held("bad", "take_processes", {"path": str(taken), "seconds": 60},
                            "timeout=4"):  # fmt: skip
                wait_for(taken.exists)
                refused = asker.run("quiet", "fork_once")
                assert serves(asker, "quiet")
                leave(asker, "quiet")
                assert serves(asker, "quiet")  # by the standby
                began = time.monotonic()
                wait_for(lambda: serves(asker, "bad"), 15.0)
                wait_for(lambda: asker.run("quiet", "fork_once").status == 200, 15.0)
                assert time.monotonic() - began < 12
            row("processes-exhausted").holds(
                caller=refused.body.decode(), shown=log_of(asker, "quiet") + house.said
            )
        finally:
            assert house.close() == 0
