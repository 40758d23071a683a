"""Small parts of the supervisor: environments, logs, leftovers, the files for others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pythonpool_local import leftovers, output
from pythonpool_local.environment import cleaned, of_executors
from pythonpool_local.home import Home
from pythonpool_local.order import has_gpu, read_orders
from pythonpool_local.processes import how_it_ended
from pythonpool_local.proctable import boot_id, children_of_self, start_ticks
from pythonpool_local.published import replace_file


def test_children_see_little_of_the_environment_of_up() -> None:
    seen = cleaned(
        {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC", "OPENAI_API_KEY": "k", "PYTHONPATH": "/x"}
    )

    assert seen == {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC"}


def test_env_of_the_spec_reaches_executors_alone() -> None:
    spec = {"env": [{"name": "MODEL", "value": "m"}, {"name": "TZ", "value": "CET"}]}

    assert of_executors({"TZ": "UTC", "HOME": "/h"}, spec) == {
        "HOME": "/h",
        "TZ": "CET",
        "MODEL": "m",
    }


def test_a_long_log_is_cut_and_its_end_kept(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    descriptor = output.open_log(log)
    os.write(descriptor, b"a" * 100)
    output.bound(log, 100)
    assert log.stat().st_size == 100

    os.write(descriptor, b"b" * 60)
    output.bound(log, 100)
    os.write(descriptor, b"after\n")
    os.close(descriptor)

    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "w.log.1").read_bytes() == b"a" * 40 + b"b" * 60


def test_the_end_of_a_log_is_told(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    log.write_text("\n".join(f"line {number}" for number in range(2000)) + "\n")

    assert output.last_lines(log, 2) == "line 1998\nline 1999"
    assert output.last_lines(tmp_path / "none.log") == ""


def test_old_logs_are_forgotten(tmp_path: Path) -> None:
    for age, name in enumerate(["living", "oldest", "old"]):
        (tmp_path / f"{name}.log").write_text("")
        os.utime(tmp_path / f"{name}.log", (age, age))

    output.forget_old(tmp_path, {"living"}, 1)

    assert {path.name for path in tmp_path.iterdir()} == {"living.log", "old.log"}


def test_leftovers_are_killed_only_when_they_are_provably_ours(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.run / "general-x7k2p").mkdir(parents=True)
    (home.run / "link-0.sock").write_text("")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        ticks = start_ticks(other.pid)
        record = {"boot": boot_id(), "processes": [[other.pid, ticks + 1], [1, 0]]}
        home.processes_file.write_text(json.dumps(record))
        assert leftovers.clean(home) == 0
        assert other.poll() is None

        record["processes"] = [[other.pid, ticks]]
        home.processes_file.write_text(json.dumps(record))
        assert leftovers.clean(home) == 1
        assert other.wait(10) == -9

    assert list(home.run.iterdir()) == []


def test_children_are_listed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children_of_self()
        child.communicate(b"\n")
    assert child.pid not in children_of_self()


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "pools.json"
    replace_file(path, b"one")
    replace_file(path, b"two")

    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["pools.json"]


def test_return_codes_in_words() -> None:
    assert how_it_ended(3) == "exit code 3"
    assert how_it_ended(-9) == "signal 9 (SIGKILL)"


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_pool_that_needs_a_gpu_says_so(tmp_path: Path) -> None:
    file = tmp_path / "pools.yaml"
    head = "apiVersion: pythonpool.dev/v1alpha1\nkind: PythonPool\n"
    spec = "metadata: {name: neural}\nspec: {adapter: neural, gpu: {count: 1}"
    file.write_text(f"{head}{spec}}}\n")
    (order,) = read_orders([str(file)])
    assert "needs a GPU" in order.impossible

    file.write_text(f"{head}{spec}, local: {{gpu: IfPresent}}}}\n")
    (order,) = read_orders([str(file)])
    assert order.impossible == ""
    assert order.grace_seconds == 3630.0
