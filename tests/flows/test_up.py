"""`up` and `down`: ready, told, changed, ended, on real processes."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flows.house import House, environment, manifest, pythonpool, pythonpool_command, wait_for
from flows.whole import Asker

from pythonpool import Unavailable

Open = Callable[..., House]

GENERAL = manifest("general", "{adapter: general, replicas: 2}")
BROKEN = manifest("broken", "{adapter: 'nowhere:Nothing'}")

ADAPTER = '''
import os, subprocess
from pythonpool import Adapter, command

class Shop(Adapter):
    """For tests."""

    @command
    def surroundings(self) -> dict[str, str]:
        """The environment."""
        return dict(os.environ)

    @command
    def spawn(self) -> int:
        """A process that leaves every group and ignores SIGTERM, while the call runs on."""
        escaped = subprocess.Popen(
            ["setsid", "sh", "-c", "trap '' TERM; echo $$ > escaped; while :; do sleep 1; done"]
        )
        return escaped.wait()
'''


def shop(home: Path, spec: str = "") -> Path:
    """A folder with an adapter and a manifest beside it."""
    folder = home / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text(ADAPTER)
    (folder / "json.py").write_text("raise RuntimeError('a user file hides the standard library')")
    file = folder / "pools.yaml"
    file.write_text(manifest("shop", f"{{adapter: 'shop:Shop'{spec}}}"))
    return file


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def family(pid: int) -> set[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return set()
    return {pid}.union(*(family(int(child)) for child in children))


@contextmanager
def escaped(home: Path) -> Iterator[int]:
    """A command that runs, and the process that it started and that left its group."""
    call = pythonpool_command("run", "shop", "spawn")
    note = home / "shop" / "escaped"
    quiet = subprocess.DEVNULL
    with subprocess.Popen(call, env=environment(home), stdout=quiet, stderr=quiet) as caller:
        try:
            wait_for(lambda: note.exists() and note.read_text().strip())
            assert lives(int(note.read_text()))
            yield int(note.read_text())
        finally:
            caller.kill()


def test_ready_means_that_calls_are_answered(house: Open) -> None:
    """Whoever waits for the last line need not wait again."""
    up = house(GENERAL, options=("--routers", "2"))

    with up.client() as client:
        answers = [client.execute("general", "echo", {"n": n}) for n in range(8)]

    assert [answer["echoed"] for answer in answers] == [{"n": n} for n in range(8)]
    assert up.content["pools"] == [{"name": "general", "ready": True, "reason": None}]
    assert up.content["pid"] == up.process.pid
    sockets = [Path(router["socket"]).name for router in up.content["routers"]]
    assert sockets == ["router-0.sock", "router-1.sock"]


def test_the_last_line_is_the_address(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(GENERAL)
    up = subprocess.Popen(
        pythonpool_command("up", str(file), "--port", "0"),
        env=environment(home),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert up.stdout is not None
    first, last = up.stdout.readline(), up.stdout.readline()
    up.send_signal(signal.SIGTERM)
    rest, _ = up.communicate(timeout=20)

    assert first == "general: ready, 2 workers\n"
    assert last.startswith("ready: http://127.0.0.1:")
    assert rest == ""
    assert up.returncode == 0


def test_ctrl_c_leaves_nothing_but_token_and_logs(house: Open, home: Path) -> None:
    up = house(GENERAL)
    everything = family(up.process.pid)
    assert len(everything) > 5

    assert up.close() == 0

    assert [pid for pid in everything if lives(pid)] == []
    assert list((home / "run").iterdir()) == []
    assert (home / "token").stat().st_mode & 0o777 == 0o600


def test_ctrl_c_ends_what_escaped_from_its_executor(house: Open, home: Path) -> None:
    up = house(shop(home))
    with escaped(home) as pid:
        assert up.close() == 0

        assert not lives(pid)


def test_a_second_ctrl_c_kills_at_once(house: Open, home: Path) -> None:
    up = house(shop(home))
    with escaped(home) as pid:
        up.process.send_signal(signal.SIGINT)
        wait_for(lambda: "finish" in up.said)
        with up.client() as client, pytest.raises(Unavailable) as refused:
            client.pools()
        up.process.send_signal(signal.SIGINT)

        assert up.process.wait(5) == 0
        assert not lives(pid)
    # Refused at once: nobody is left waiting for an end.
    assert refused.value.cause == "no_connection"


def test_a_killed_up_leaves_no_process_and_the_next_one_cleans(house: Open, home: Path) -> None:
    file = shop(home)
    up = house(file)
    with escaped(home) as pid:
        everything = family(up.process.pid) | {pid}

        up.process.kill()
        up.process.wait(5)
        wait_for(lambda: not [pid for pid in everything if lives(pid)], 5.0)

    assert list((home / "run").iterdir())
    again = house(file)
    assert [path.name for path in (home / "run").iterdir() if path.is_dir()] == [
        worker["name"] for worker in again.workers("shop")
    ]


def test_commands_see_a_clean_environment_and_the_manifest_folder(house: Open, home: Path) -> None:
    """And a user's json.py beside the manifest is nobody else's json."""
    os.environ["UP_SECRET"] = "s"
    try:
        up = house(shop(home, ", env: [{name: MODEL, value: m}]"))
    finally:
        del os.environ["UP_SECRET"]

    with up.client() as client:
        seen = client.execute("shop", "surroundings")

    assert seen["MODEL"] == "m"
    assert seen["PATH"] == os.environ["PATH"]
    assert not {name for name in seen if name.startswith(("UP_", "PYTHONPOOL_"))}


def test_one_home_has_one_up(house: Open, home: Path) -> None:
    house(GENERAL)

    second = pythonpool(home, "up", str(home / "pools-0.yaml"), "--port", "0")

    assert second.returncode == 3
    assert second.stderr.count("\n") == 1
    assert "runs already" in second.stderr


def test_a_taken_port_is_one_line(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(GENERAL)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = pythonpool(home, "up", str(file), "--port", str(taken.getsockname()[1]))

    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert "is taken" in ended.stderr


def test_a_wrong_manifest_starts_nothing(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(manifest("general", "{adapter: general, replicas: -1}"))

    ended = pythonpool(home, "up", str(file))

    assert ended.returncode == 2
    assert "spec.replicas is -1" in ended.stderr
    assert not (home / "run").exists()


def test_a_pool_that_can_not_start_does_not_stop_the_others(house: Open) -> None:
    up = house(GENERAL, BROKEN)

    general, broken = up.content["pools"]
    assert general["ready"] is True
    assert broken["ready"] is False
    assert "nowhere" in broken["reason"]
    assert "broken: Degraded: " in up.said
    with up.client() as client:
        assert client.execute("general", "ping")["status"] == "ok"
        with pytest.raises(Unavailable) as refused:
            client.execute("broken", "ping")
    assert "nowhere" in refused.value.detail


def test_up_ends_when_no_pool_can_start(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(BROKEN)

    ended = pythonpool(home, "up", str(file), "--port", "0")

    assert ended.returncode == 1
    assert "nowhere" in ended.stderr
    assert list((home / "run").iterdir()) == []


def test_a_pool_scaled_to_zero_is_settled(house: Open) -> None:
    """By hand and on purpose: it does not serve, and nothing is wrong with it."""
    idle = "{adapter: general, replicas: 0, healthCheck: {periodSeconds: 1}}"
    up = house(GENERAL, manifest("idle", idle))

    with up.client() as client, pytest.raises(Unavailable) as refused:
        client.execute("idle", "ping")

    assert refused.value.cause == "scaled_to_zero"
    checks = 'pythonpool_health_checks_total{pool="idle",result='
    wait_for(lambda: checks in Asker(up).metrics())
    assert f'{checks}"failed"' not in Asker(up).metrics()


def test_detached_until_down(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(GENERAL)

    started = pythonpool(home, "up", str(file), "--port", "0", "--detach", "-o", "json")
    assert started.returncode == 0, started.stderr
    content = json.loads(started.stdout)
    everything = family(content["pid"])
    called = pythonpool(home, "run", "general", "ping")
    ended = pythonpool(home, "down")

    assert json.loads(called.stdout)["status"] == "ok"
    assert ended.returncode == 0
    assert [pid for pid in everything if lives(pid)] == []
    assert list((home / "run").iterdir()) == []
    nothing = pythonpool(home, "down")
    assert nothing.returncode == 0
    assert nothing.stdout == f"no pythonpool up runs in {home}\n"


def test_detached_tells_how_it_failed(home: Path) -> None:
    file = home / "pools.yaml"
    file.write_text(BROKEN)

    ended = pythonpool(home, "up", str(file), "--port", "0", "--detach")

    assert ended.returncode == 1
    assert "nowhere" in ended.stderr
