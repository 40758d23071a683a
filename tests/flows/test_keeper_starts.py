"""How executors come to be: forked, spawned, or not at all with a reason."""

import json
import mmap
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from spoken_agent import Agent, gone, keeping, kill_hard, until


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """A keeper on the plain zoo."""
    folder = tmp_path_factory.mktemp("keeper")
    limits = {"memory": "1Gi", "executorMemory": "512Mi"}
    with keeping(folder, environment={"OWN": "1"}, resources=limits) as agent:
        agent.ready()
        yield agent


def test_ready_template_offers_its_catalogue(agent: Agent) -> None:
    """The agent learns the commands from the template, and how executors are made."""
    ready = next(m for m in agent.heard if m["t"] == "template")

    names = {row["name"] for row in ready["catalogue"]}
    assert {"echo", "spin"} <= names
    assert (ready["adapter"], ready["fork"], ready["why_spawned"]) == ("zoo:Zoo", True, None)
    assert not gone(ready["pid"])


def test_forked_executor_is_the_keepers_child_and_set_up(agent: Agent) -> None:
    """The check list of an executor, as the command itself sees it."""
    channel = agent.start(1)

    found = channel.call("environment")
    who = channel.call("pids")

    assert who == {"pid": channel.pid, "ppid": agent.keeper.pid, "group": channel.pid}
    assert found["stdin"] == "/dev/null"
    assert (found["core"], found["data"]) == ([0, 0], [512 << 20, 512 << 20])
    assert found["nice"] == os.nice(0) + 5
    assert found["oom"] >= 500
    assert (found["environ"]["OWN"], found["environ"]["OMP_NUM_THREADS"]) == ("1", "1")
    # Its own channel, the output twice, the label page and the stack pipe; nothing of others.
    assert sum(name.startswith("socket:") for name in found["descriptors"]) == 1
    assert sum(name.startswith("pipe:") for name in found["descriptors"]) == 3


def test_numpy_draws_differ_between_executors(tmp_path: Path) -> None:
    """numpy's global generator is copied by a fork; random's is not."""
    pytest.importorskip("numpy")
    with keeping(tmp_path, adapter="zoo:Numbers") as agent:
        agent.ready()
        draws = {agent.start(number).call("draw") for number in (1, 2)}

    assert len(draws) == 2


def test_starts_that_come_before_the_template_is_ready_wait_for_it(tmp_path: Path) -> None:
    """One of them is killed before it ever was a process."""
    with keeping(tmp_path) as agent:
        for number in (1, 2):
            agent.say(t="start", id=number)
        agent.say(t="kill", id=1, dump=True)

        assert agent.hear("exited", id=1)["pid"] == 0
        assert agent.hear("executor", id=2)["pid"] > 0
        assert not [m for m in agent.heard if m["t"] == "executor" and m["id"] == 1]


@pytest.mark.parametrize(
    ("adapter", "why"),
    [
        ("Spawned", "the adapter says fork = False"),
        ("Threads", "start() left 2 threads"),
        ("Sockets", "start() left 2 open sockets"),
    ],
)
def test_adapters_that_can_not_be_forked_are_spawned(
    tmp_path: Path, adapter: str, why: str
) -> None:
    """Looked at, not believed; the warning names what is in the way."""
    with keeping(tmp_path, adapter=f"zoo:{adapter}") as agent:
        ready = agent.ready()
        channel = agent.start(1)

        assert (ready["fork"], channel.call("pids")["ppid"]) == (False, agent.keeper.pid)
        assert why in ready["why_spawned"]
        assert channel.call("environment")["nice"] == os.nice(0) + 5
        assert any(why in line.get("message", "") for line in agent.log())
        until(lambda: gone(ready["pid"]))
        agent.say(t="kill", id=1, dump=True)
        assert agent.hear("exited", id=1)["cause"] == "signal:9"


@pytest.mark.parametrize("adapter", ["BadOpen", "SpawnedBadOpen"])
def test_open_that_raises_fails_the_start(tmp_path: Path, adapter: str) -> None:
    """The reason and the last lines come with it; the template lives on."""
    with keeping(tmp_path, adapter=f"zoo:{adapter}") as agent:
        agent.ready()
        for number in (1, 2):
            agent.say(t="start", id=number)
            failed = agent.hear("failed", id=number)
            assert "the database says no" in failed["reason"]
            assert "opening" in failed["log"]
        assert not [m for m in agent.heard if m["t"] == "exited"]


@pytest.mark.parametrize(
    ("adapter", "reason"),
    [
        ("zoo:BadStart", "LookupError: no price list"),
        ("zoo:Zoos", 'did you mean "Zoo"?'),
        ("nowhere:Zoo", "there is no module nowhere"),
    ],
)
def test_template_that_can_not_start_says_why_and_is_tried_again(
    tmp_path: Path, adapter: str, reason: str
) -> None:
    """Also to those who asked for an executor; and once it can, it does."""
    with keeping(tmp_path, adapter=adapter) as agent:
        agent.say(t="start", id=1)
        failed = agent.hear("template", state="failed")

        assert reason in failed["reason"]
        assert "Error" in failed["log"]
        assert reason in agent.hear("failed", id=1)["reason"]
        agent.hear("template", state="failed")


def test_template_that_comes_to_itself_serves(tmp_path: Path) -> None:
    """A file that was missing at first is there at the second try."""
    with keeping(tmp_path, adapter="late:Late") as agent:
        agent.hear("template", state="failed")
        (tmp_path / "late.py").write_text("from zoo import Zoo as Late\n")
        agent.ready()

        assert agent.start(1).call("echo", a=1) == {"a": 1}


@pytest.mark.slow
def test_fork_that_hangs_makes_the_template_unsafe(tmp_path: Path) -> None:
    """After one forked executor that is not ready in time, executors are spawned."""
    # So long, because template and spawned executor have to start in this time on a busy machine.
    with keeping(tmp_path, adapter="zoo:Hangs", healthCheck={"startupSeconds": 4}) as agent:
        assert agent.ready()["fork"] is True
        agent.say(t="start", id=1)

        assert "startupSeconds (4)" in agent.hear("failed", id=1)["reason"]
        assert agent.hear("template", state="ready", fork=False)["why_spawned"]
        assert agent.start(2).call("echo", a=1) == {"a": 1}
        stacks = [line["stack"] for line in agent.log() if line["event"] == "executor_not_ready"]
        assert "in open" in stacks[0]


def test_start_that_hangs_fails_in_time(tmp_path: Path) -> None:
    """The log says where it hung."""
    with keeping(tmp_path, adapter="zoo:Sleeps", healthCheck={"startupSeconds": 4}) as agent:
        failed = agent.hear("template", state="failed")

        assert "startupSeconds (4)" in failed["reason"]
        assert "in start" in failed["log"]


def test_helper_of_start_lives_as_long_as_executors_that_may_need_it(tmp_path: Path) -> None:
    """It outlives a killed template, but not the last executor of that template."""
    with keeping(tmp_path, adapter="zoo:Helper") as agent:
        template = agent.ready()["pid"]
        channel = agent.start(1)
        helper = channel.call("helper_pid")
        kill_hard(template)
        agent.ready()

        assert not gone(helper)
        agent.say(t="kill", id=1, dump=False)
        agent.hear("exited", id=1)
        until(lambda: gone(helper), 2.0)


def test_large_catalogue_comes_in_a_memfd(tmp_path: Path) -> None:
    """One packet holds 64 KiB."""
    with keeping(tmp_path, adapter="zoo:Wordy") as agent:
        ready = agent.ready()
        with mmap.mmap(ready["fds"][0], 0, prot=mmap.PROT_READ) as page:
            rows = json.loads(page[:])

    assert ready["catalogue"] is None
    assert "echo" in {row["name"] for row in rows}


def test_other_processes_can_not_look_into_the_keeper(agent: Agent) -> None:
    """It is not dumpable, so /proc shows its files to root alone."""
    assert os.stat(f"/proc/{agent.keeper.pid}/environ").st_uid == 0


def test_wrong_file_and_wrong_usage_end_at_once(tmp_path: Path) -> None:
    """Exit status 2, with a line that says why."""
    import subprocess
    import sys

    (tmp_path / "worker.json").write_text('{"pool": "p"}')
    command = [sys.executable, "-m", "pythonpool_worker.keeper"]
    wrong_file = subprocess.run(
        [*command, "--config", str(tmp_path / "worker.json")], capture_output=True, text=True
    )
    wrong_usage = subprocess.run(command, capture_output=True, text=True)

    assert (wrong_file.returncode, wrong_usage.returncode) == (2, 2)
    assert "must be a worker.json" in wrong_file.stderr
    assert wrong_usage.stderr.startswith("usage:")


def test_keeper_waits_for_an_agent_that_is_late(tmp_path: Path) -> None:
    """In a pod either container may be first; SIGTERM ends the wait."""
    import subprocess
    import sys

    said = {"pool": "p", "worker": "w", "spec": {"adapter": "zoo:Zoo"}}
    (tmp_path / "worker.json").write_text(json.dumps(said))
    command = [sys.executable, "-m", "pythonpool_worker.keeper", "--config"]
    with subprocess.Popen([*command, str(tmp_path / "worker.json")]) as keeper:
        until(lambda: _handles_signals(keeper.pid))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(tmp_path / "keeper.sock"))
            listener.listen(1)
            listener.settimeout(5)
            connection, _ = listener.accept()
            with connection:
                assert json.loads(connection.recv(1000)) == {"t": "hello", "pid": keeper.pid}
        assert keeper.wait(5) == 0


def _handles_signals(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << 14)
