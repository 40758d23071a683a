"""The processes of one worker below an `up`, and calls that run beside a test."""

import http.client
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from flows.house import House, processes_below, wait_for
from flows.whole import Answer, Asker


@dataclass(frozen=True, slots=True)
class Tree:
    """One worker's processes: `executors` are those that the keeper has made, the standby too."""

    agent: int
    keeper: int
    template: int
    executors: frozenset[int]


def tree(house: House, pool: str) -> Tree:
    """The processes of the first worker of a pool.

    Raises:
        StopIteration: one of them is not there now.
    """
    worker = house.workers(pool)[0]
    mark = f"/{worker['name']}/worker.json"
    agent = int(worker["pid"])
    below = processes_below(house.process.pid)
    keeper = next(pid for pid in below if _runs(pid, "pythonpool_worker.keeper", mark))
    children = sorted(pid for pid in processes_below(keeper) if _parent(pid) == keeper)
    alike = [pid for pid in children if _runs(pid, "pythonpool_worker.template", mark)]
    if not alike:
        raise StopIteration
    template = min(alike, key=_nice)
    return Tree(agent, keeper, template, frozenset(children) - {template})


def _runs(pid: int, module: str, mark: str) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
    return module in line and mark in line


def _nice(pid: int) -> int:
    """Executors, which have the command line of the template, are nicer; numbers wrap around."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])
    except OSError:
        return 20


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@dataclass(slots=True)
class RouterAsker(Asker):
    """Asks one of several routers."""

    index: int

    def connection(self) -> http.client.HTTPConnection:
        """A connection of one's own to this router."""
        return self.house.router_connection(self.index)


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    """The answer to a request that was sent before."""
    got = connection.getresponse()
    fields = {name.lower(): value for name, value in got.getheaders()}
    return Answer(got.status, fields, got.read())


class Stalls:
    """Measures how long a busy machine gives no time to a thread that only wakes up."""

    _BEAT_SECONDS = 0.02

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._missed: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def since(self, began: float) -> float:
        """Seconds that were missed after `began`, by the monotonic clock."""
        return sum(ended - max(due, began) for due, ended in self._missed if ended > began)

    def _beat(self) -> None:
        due = time.monotonic() + self._BEAT_SECONDS
        while not self._is_over.wait(self._BEAT_SECONDS):
            now = time.monotonic()
            if now > due:
                self._missed.append((due, now))
            due = now + self._BEAT_SECONDS


def run_milliseconds(answer: Answer) -> float:
    """How long the worker had the call."""
    return float(answer.fields["server-timing"].rpartition("run;dur=")[2])


@dataclass(slots=True)
class Beside:
    """Sends calls from threads of its own; each is a Future of its answer."""

    asker: Asker
    threads: ThreadPoolExecutor

    def run(self, pool: str, command: str, args: Any = None, query: str = "") -> Future[Answer]:
        """One call, sent soon."""
        return self.threads.submit(self.asker.run, pool, command, args, query)

    def in_session(
        self, handle: str, command: str, args: Any = None, query: str = ""
    ) -> Future[Answer]:
        """One call of a session, sent soon."""
        return self.threads.submit(self.asker.in_session, handle, command, args, query)


def stack_of(asker: Asker, pool: str, command: str, args: Any) -> str:
    """Where a call was when its time was up; asked again while the machine is too busy to say.

    A process that gets no CPU time for 50 ms is killed without having said it.
    """
    for _ in range(10):
        problem = asker.run(pool, command, args, "timeout=0.3").json
        if "stack" in problem:
            return str(problem["stack"])
    raise AssertionError("no answer had a stack")


def answers_in_order(asker: Asker, pool: str, calls: list[tuple[str, Any]]) -> list[Answer]:
    """Send calls so that they wait in this order, in a line that is empty; their answers."""
    with ThreadPoolExecutor(len(calls)) as threads:
        answers: list[Future[Answer]] = []
        for number, (command, args) in enumerate(calls, 1):
            answers.append(threads.submit(asker.run, pool, command, args))
            wait_for(partial(_has_queued, asker, pool, number))
        return [answer.result() for answer in answers]


def _has_queued(asker: Asker, pool: str, number: int) -> bool:
    return bool(asker.pool(pool)["queued"] == number)


def lines(path: Path) -> list[str]:
    """The lines of a journal; none when there is none."""
    return path.read_text().splitlines() if path.exists() else []


def events(body: bytes) -> list[tuple[int, str, Any]]:
    """The events of a stream: id, name, data."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found
