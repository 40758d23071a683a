"""The clients and `run` against the real thing: `up`, router, agent, executor."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from pythonpool import AsyncClient, Client, errors

CLI = [sys.executable, "-m", "pythonpool_cli"]

ADAPTER = '''
import time
from collections.abc import Iterator

from pythonpool import Adapter, Context, command


class Bench(Adapter):
    """Commands that are easy to check."""

    @command
    def size(self, context: Context, data: bytes) -> int:
        """How long the body is."""
        return len(data)

    @command
    def turn(self, context: Context, data: bytes) -> bytes:
        """The body from its end."""
        return data[::-1]

    @command
    def steps(self, context: Context, count: int) -> Iterator[int]:
        """Count, with progress."""
        for step in range(count):
            context.progress(step / count, step=step)
            yield step

    @command
    def nap(self, context: Context, seconds: float) -> None:
        """Sleep."""
        context.progress(0.0)
        time.sleep(seconds)

    @command
    def count(self, context: Context) -> int:
        """The calls of this session so far."""
        state = context.session.state
        state["calls"] = state.get("calls", 0) + 1
        return state["calls"]
'''

MANIFEST = """
apiVersion: pythonpool.dev/v1alpha1
kind: PythonPool
metadata: {name: bench}
spec: {adapter: "bench_adapter:Bench"}
"""


class Place(NamedTuple):
    """A running `up`: its URL, its token, and the environment that finds it."""

    url: str
    token: str
    environ: dict[str, str]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # A short path of its own: those of pytest are too long for Unix sockets.
    with TemporaryDirectory(prefix="pp-") as home:
        manifest = Path(home) / "bench.yaml"
        manifest.write_text(MANIFEST)
        (Path(home) / "bench_adapter.py").write_text(ADAPTER)
        environ = {"PATH": os.environ["PATH"], "PYTHONPOOL_HOME": home}
        words = [*CLI, "up", str(manifest), "--port", "0"]
        with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as up:
            try:
                assert up.stdout is not None
                lines = iter(up.stdout.readline, "")
                ready = next(line for line in lines if line.startswith("ready: "))
                url = ready.removeprefix("ready: ").strip()
                yield Place(url, (Path(home) / "token").read_text().strip(), environ)
            finally:
                up.send_signal(signal.SIGTERM)
                up.wait(30)


@pytest.fixture
def client(place: Place) -> Iterator[Client]:
    with Client(place.url, place.token) as opened:
        yield opened


@pytest.mark.parametrize("timeout", [5, None])
@pytest.mark.parametrize("length", [0, 65_536, 300_000, 5_000_000])
def test_bodies_of_any_length_arrive_whole(
    client: Client, length: int, timeout: float | None
) -> None:
    data = os.urandom(length)

    assert client.execute("bench", "size", data, timeout=timeout) == length
    assert client.execute("bench", "turn", data, timeout=timeout) == data[::-1]


def test_a_generator_gives_a_list_and_tells_its_progress(client: Client) -> None:
    heard: list[object] = []

    assert client.execute("bench", "steps", {"count": 2}, on_progress=heard.append) == [0, 1]
    assert client.execute("bench", "steps", {"count": 2}, timeout=5) == [0, 1]
    assert heard == [{"fraction": 0.0, "step": 0}, {"fraction": 0.5, "step": 1}]


@pytest.mark.parametrize("timeout", [5, None])
async def test_a_generator_that_yields_nothing_gives_an_empty_list(
    place: Place, client: Client, timeout: float | None
) -> None:
    """Over a stream as without one; a command that returns None gives None."""
    async with AsyncClient(place.url, place.token) as other:
        assert await other.execute("bench", "steps", {"count": 0}, timeout=timeout) == []
        assert await other.execute("bench", "nap", {"seconds": 0}, timeout=timeout) is None

    assert client.execute("bench", "steps", {"count": 0}, timeout=timeout) == []
    assert client.execute("bench", "nap", {"seconds": 0}, timeout=timeout) is None


def test_no_args_are_an_empty_body(place: Place, client: Client) -> None:
    """Of a command that takes bytes too: it must not be handed two braces."""
    words = [*CLI, "run", "bench", "size"]

    assert client.execute("bench", "size") == 0
    assert subprocess.check_output(words, env=place.environ) == b"0\n"


def test_a_session_counts_and_is_gone_when_its_block_is_left(client: Client) -> None:
    with client.session("bench", ttl_seconds=60) as session:
        assert [session.execute("count") for _ in range(3)] == [1, 2, 3]
        assert session.show()["ttl_seconds"] == 60
        assert client.pool("bench")["sessions"] == 1

    assert client.pool("bench")["sessions"] == 0
    with pytest.raises(errors.SessionNotFound):
        client.attach(session.id).execute("count")


def test_a_timeout_is_typed(client: Client) -> None:
    with pytest.raises(errors.Timeout) as caught:
        client.execute("bench", "nap", {"seconds": 30}, timeout=0.1)

    assert caught.value.outcome == "unknown"
    assert caught.value.worker is not None


async def test_a_cancelled_task_frees_its_slot(place: Place) -> None:
    """The pool has one slot: the next call is answered only because the first was killed."""
    async with AsyncClient(place.url, place.token) as client:
        began = asyncio.Event()
        nap = client.execute(
            "bench", "nap", {"seconds": 50}, on_progress=lambda progress: began.set()
        )
        task = asyncio.create_task(nap)
        await asyncio.wait_for(began.wait(), 10)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.execute("bench", "size", b"ab", timeout=5) == 2


def test_ctrl_c_of_run_frees_its_slot(place: Place, client: Client) -> None:
    words = [*CLI, "run", "bench", "nap", "seconds=50"]
    with subprocess.Popen(words, env=place.environ, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "progress 0%\n"

        running.send_signal(signal.SIGINT)

        assert running.wait(30) == 130
        assert client.execute("bench", "size", b"ab", timeout=5) == 2
