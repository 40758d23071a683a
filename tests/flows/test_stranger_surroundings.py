"""`up` in surroundings that nobody would choose: closed streams, odd tokens, no room, no home."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flows.house import House, environment, manifest, pythonpool, pythonpool_command, wait_for

GENERAL = manifest("general", "adapter: general")


def test_up_without_any_stream(home: Path) -> None:
    """`>&- 2>&- <&-`: it serves, and ends at `down`."""
    (home / "pools.yaml").write_text(GENERAL)
    words = [*pythonpool_command("up", str(home / "pools.yaml"), "--port", "0")]
    up = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *words], env=environment(home)
    )
    try:
        wait_for(lambda: pythonpool(home, "run", "general", "ping").returncode == 0, 20)
        assert pythonpool(home, "down").returncode == 0
        assert up.wait(10) == 0
    finally:
        up.kill()
        up.wait()


@pytest.mark.parametrize("token", [b"two words\n", b"\xff\xfe\n", b"two\nlines\n"])
def test_a_token_that_no_header_can_carry_is_refused(home: Path, token: bytes) -> None:
    """In one line that says what to do; nothing is started."""
    (home / "pools.yaml").write_text(GENERAL)
    (home / "token").write_bytes(token)

    refused = pythonpool(home, "up", str(home / "pools.yaml"), "--port", "0")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "must be one line of printable ASCII without spaces: remove the file" in refused.stderr


def test_a_removed_home_does_not_keep_up_from_its_end(
    home: Path, house: Callable[..., House]
) -> None:
    """Everything below it is gone; Ctrl-C still ends all processes, with 0."""
    up = house(GENERAL)
    (worker,) = up.workers("general")
    shutil.rmtree(home / "run")

    assert up.close() == 0

    assert not Path(f"/proc/{worker['pid']}").exists()
    (home / "run").mkdir()  # the house looks into it


def test_a_full_output_is_one_line(house: Callable[..., House]) -> None:
    """stdout on a full disk: what happened, not a traceback."""
    up = house(GENERAL)

    with open("/dev/full", "w") as full:
        refused = subprocess.run(
            pythonpool_command("pools"),
            env=environment(up.home),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert refused.returncode == 1
    assert refused.stderr == (
        "pythonpool: the output can not be written: No space left on device\n"
    )


def test_a_start_that_exits_is_told_without_our_own_records(home: Path) -> None:
    """What `start()` raised and printed stands there, and no JSON of agent or keeper."""
    (home / "leaves.py").write_text(
        "import os\n\nfrom pythonpool import Adapter\n\n\nclass Leaves(Adapter):\n"
        "    def start(self):\n        print('the price list is gone', flush=True)\n"
        "        os._exit(3)\n\n\n"
        "class Raises(Adapter):\n    def start(self):\n        raise LookupError('no prices')\n"
    )
    (home / "pools.yaml").write_text(
        manifest("leaves", "adapter: leaves:Leaves") + manifest("raises", "adapter: leaves:Raises")
    )

    ended = pythonpool(home, "up", str(home / "pools.yaml"), "--port", "0")

    assert ended.returncode == 1
    assert "leaves: Degraded: the template ended before it was ready: exit:3" in ended.stderr
    assert "    the price list is gone" in ended.stderr
    assert "raises: Degraded: start() raised LookupError: no prices" in ended.stderr
    assert '{"t' not in ended.stderr


def test_an_end_that_takes_time_says_how_to_hurry(house: Callable[..., House]) -> None:
    """A running call is given its 10 s, and a second Ctrl-C ends it; an idle `up` says nothing."""
    idle = house(GENERAL)
    idle.close()
    assert "running calls may finish" not in idle.said
    busy = house(Path(__file__).parents[2] / "examples" / "troubles.yaml")
    call = subprocess.Popen(
        pythonpool_command("run", "troubles", "sleep", "seconds=30", "--timeout", "40"),
        env=environment(busy.home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with busy.client() as client:
        wait_for(lambda: client.pool("troubles")["busy"] == 1)

    busy.process.send_signal(signal.SIGINT)
    wait_for(lambda: "a second Ctrl-C kills them" in busy.said)
    os.kill(busy.process.pid, signal.SIGINT)

    assert busy.process.wait(5) == 0
    assert call.wait(5) == 1
