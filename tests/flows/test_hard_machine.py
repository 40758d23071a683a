"""A machine that fails under `up`: no room, no descriptors, a reader that stands still, odd clocks.

Each test is a row of the guide.
"""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from debian import install
from flows.house import House, environment, open_house, pythonpool_command, wait_for
from flows.parts import Beside, read_answer, tree
from flows.test_hard_neighbours import leave, log_of, pool, serves, written
from flows.whole import Asker, is_alive
from guide import row

HOUR, DAY = 3600, 86_400
TTL_SECONDS = 3


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """A file system of that size."""
    if os.getuid():
        pytest.skip("not run: only root can mount a small file system")
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", path], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture(scope="module")
def cramped() -> Iterator[House]:
    """One `up` whose home and TMPDIR are small file systems of their own."""
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    scratch = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    with small_disk(home, "16m"), small_disk(scratch, "2m"):
        manifests = written(home / "files", pool("quiet"), pool("bad"))
        opened = open_house(home, [manifests], TMPDIR=str(scratch))
        yield opened
        assert opened.close() == 0
    shutil.rmtree(home)
    shutil.rmtree(scratch)


def fill(folder: Path) -> Path:
    """Take what is left of a file system."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def test_scratch_full(cramped: House) -> None:
    """TMPDIR is the commands' own; nothing of ours is kept there."""
    asker = Asker(cramped)
    answer = asker.run("bad", "scratch", {"megabytes": 4})

    row("scratch-full").holds(caller=answer.body.decode(), shown=asker.metrics())
    assert serves(asker, "quiet")


def test_disk_full(cramped: House) -> None:
    """Calls, sessions and workers' deaths go on without logs; records are written later."""
    asker = Asker(cramped)
    handle = asker.session("quiet")
    ballast = fill(cramped.home)
    old = cramped.workers("bad")[0]["pid"]
    assert asker.run("quiet", "flood", {"megabytes": 1}).status == 200
    assert asker.in_session(handle, "who").status == 200
    os.kill(old, 9)
    wait_for(lambda: "No space left" in cramped.said)
    answer = asker.run("quiet", "who", None, "queue_timeout=20")
    wait_for(lambda: asker.run("bad", "who").status == 200, 30)
    assert asker.session("quiet")

    row("disk-full").holds(caller=str(answer.status), shown=cramped.said)
    ballast.unlink()
    leave(asker, "bad")
    assert serves(asker, "bad")
    wait_for(lambda: cramped.workers("bad")[0]["state"] == "ready", 20)


def test_descriptors_exhausted(home: Path) -> None:
    """A crowd of idle connections: a call that runs keeps its own, and who comes is served."""
    house = open_house(home, [written(home / "files", pool("quiet"))], birth=_few_descriptors)
    asker = Asker(house)
    try:
        with asker.held("quiet", "take_time", {"seconds": 2}) as running:
            with contextlib.ExitStack() as idle:
                for _ in range(150):
                    idle.enter_context(_connected(house))
                wait_for(lambda: "callers wait at the door" in _router_log(house))
                answer = asker.run("quiet", "who", None, "queue_timeout=20")
            assert read_answer(running).status == 200
        row("descriptors-exhausted").holds(caller=str(answer.status), shown=_router_log(house))
        assert serves(asker, "quiet")
    finally:
        assert house.close() == 0


def test_sessions_without_descriptors(home: Path) -> None:
    """The keeper has no more: no further session, those that are open go on."""
    spec = "sessions: {maxPerWorker: 100}\nresources: {memory: 4Gi}"
    house = open_house(home, [written(home / "files", pool("quiet", spec))], birth=_few_descriptors)
    asker = Asker(house)
    open_ones: list[str] = []
    try:
        answer = asker.ask("POST", "/v1/sessions", {"pool": "quiet"})
        while answer.status == 201 and len(open_ones) < 50:
            open_ones.append(answer.json["session_id"])
            answer = asker.ask("POST", "/v1/sessions", {"pool": "quiet"})
        assert len(open_ones) > 5
        assert all(asker.in_session(each, "who").status == 200 for each in open_ones)
        row("sessions-without-descriptors").holds(
            caller=answer.body.decode(), shown=log_of(asker, "quiet")
        )
        assert serves(asker, "quiet")
        for each in open_ones:
            asker.ask("DELETE", f"/v1/sessions/{each}")
        wait_for(lambda: asker.ask("POST", "/v1/sessions", {"pool": "quiet"}).status == 201)
    finally:
        assert house.close() == 0


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))


def _connected(house: House) -> socket.socket:
    host, _, port = house.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), 5)
    connection.settimeout(1)
    return connection


def _router_log(house: House) -> str:
    return (house.home / "logs" / "router-0.log").read_text()


def test_stopped_output(home: Path) -> None:
    """`up`'s own output is a pipe that nobody reads, as after Ctrl-S: it supervises on."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    words = ["up", str(written(home / "files", pool("quiet"))), "--port", "0"]
    up = subprocess.Popen(
        pythonpool_command(*words), env=environment(home), stdout=writing, stderr=writing, text=True
    )
    os.close(writing)
    try:
        wait_for(lambda: _url(home), 20)
        house = House(home, up, _url(home), {})
        asker = Asker(house)
        wait_for(lambda: asker.run("quiet", "who").status == 200, 20)
        old = tree(house, "quiet").agent
        os.kill(old, 9)
        wait_for(lambda: house.workers("quiet")[0]["pid"] not in (old, None), 20)
        answer = asker.run("quiet", "who", None, "queue_timeout=20")
        with os.fdopen(reading, "rb") as pipe, ThreadPoolExecutor(1) as beside:
            rest = beside.submit(pipe.read)
            assert house.close() == 0
            said = rest.result().lstrip(b"x").decode()
    finally:
        up.kill()
        up.wait()
    row("stopped-output").holds(caller=str(answer.status), shown=said)
    assert not is_alive(old)


def _url(home: Path) -> str:
    try:
        return str(json.loads((home / "run" / "up.json").read_text())["url"])
    except (OSError, ValueError):
        return ""


def test_clock_jumps(home: Path) -> None:
    """The clock of every process goes forth and back by an hour and a day: nothing minds."""
    shift = home / "shift"
    shift.write_text("+0s")
    program = _faked_python(home)
    variables = {
        "FAKETIME_TIMESTAMP_FILE": str(shift),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    wrapped = program.read_text().replace("VARIABLES", _assignments(variables))
    program.write_text(wrapped)
    manifests = written(home / "files", pool("quiet", "sessions: {ttlSeconds: 60}"), pool("bad"))
    words = [str(program), "-P", "-m", "pythonpool_cli"]
    house = open_house(home, [manifests], program=words)
    asker = Asker(house)
    timings: list[str] = []
    try:
        with ThreadPoolExecutor(4) as threads:
            beside = Beside(asker, threads)
            handle = asker.session("quiet")
            short = Watched(asker, ttl_seconds=TTL_SECONDS)
            running = beside.run("bad", "take_time", {"seconds": 4})
            for seconds in (HOUR, -HOUR, DAY, -DAY):
                shift.write_text(f"{seconds:+d}s")
                there = asker.run("quiet", "clock")
                assert abs(there.json["time"] - time.time() - seconds) < 60
                assert asker.in_session(handle, "who").status == 200
                late = asker.run("quiet", "take_time", {"seconds": 30}, "timeout=0.3")
                assert late.code == "timeout"
                timings += [each.fields["server-timing"] for each in (there, late)]
                short.look()
            wait_for(lambda: short.look() == 410)
            short.was_in_time()
            assert running.result().status == 200
            shift.write_text("+0s")
        row("clock-jumps").holds(caller=str(there.status), shown=asker.metrics())
        assert "exits" not in house.said
        assert max(_durations(timings)) < 5000
        assert min(_durations(timings)) >= 0
    finally:
        assert house.close() == 0


class Watched:
    """A session that nobody uses, looked at until it has expired."""

    def __init__(self, asker: Asker, ttl_seconds: int) -> None:
        self._asker = asker
        self._began = time.monotonic()
        self._handle = asker.session("quiet", ttl_seconds=ttl_seconds)
        self._ttl, self._opened = ttl_seconds, time.monotonic()
        self._looks: list[tuple[float, int, float]] = []

    def look(self) -> int:
        """The status of a GET, which does not renew it."""
        before = time.monotonic()
        status = self._asker.ask("GET", f"/v1/sessions/{self._handle}").status
        self._looks.append((before, status, time.monotonic()))
        return status

    def was_in_time(self) -> None:
        """It was there until its TTL had passed, and gone within a second after it."""
        assert all(status == 200 or after >= self._began + self._ttl
                   for _, status, after in self._looks)  # fmt: skip
        assert all(status == 410 or before <= self._opened + self._ttl + 1
                   for before, status, _ in self._looks)  # fmt: skip


def _faketime() -> Path:
    """libfaketime, installed where that may be done."""
    for _ in range(2):
        for found in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
            return found
        install("libfaketime")
    pytest.skip("not run: needs Debian's package libfaketime")


def _durations(timings: list[str]) -> list[float]:
    parts = [part for timing in timings for part in timing.split(",")]
    return [float(part.rpartition("=")[2]) for part in parts]


def _assignments(variables: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


def _faked_python(home: Path) -> Path:
    """A Python of the same environment whose processes all have the false clock.

    What `up` starts sees a cleaned environment, so the interpreter itself must bring it along.
    """
    own = Path(sys.executable)
    place = home / "venv"
    (place / "bin").mkdir(parents=True)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", place)
    (place / "lib").symlink_to(Path(sys.prefix) / "lib")
    program = place / "bin" / "python"
    program.write_text(
        f'#!/bin/bash\nLD_PRELOAD={_faketime()} VARIABLES exec -a "$0" {own.resolve()} "$@"\n'
    )
    program.chmod(0o755)
    return program
