"""Stuck code of every kind dies, with all it has spawned; and nothing outlives the keeper."""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zoo
from spoken_agent import Agent, gone, keeping, kill_hard, processes_of, until

from pythonpool_worker import linux


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One keeper for all kills: what one leaves behind would hurt the next."""
    with keeping(tmp_path_factory.mktemp("keeper")) as agent:
        agent.ready()
        yield agent


@pytest.fixture
def executor_id(request: pytest.FixtureRequest) -> int:
    """An id that was not used before."""
    return abs(hash(request.node.nodeid)) % 10**9


def _lines_of(function: str, code: str) -> range:
    """The numbers of the last line of that code and of the one after it: a loop has two."""
    lines, first = inspect.getsourcelines(getattr(zoo.Zoo, function))
    at = first + max(at for at, line in enumerate(lines) if code in line)
    return range(at, at + 2)


@pytest.mark.parametrize(
    ("stuck", "where"),
    [
        ("spin", "while"),
        ("swallow", "time.sleep"),
        ("regex", "re.match"),
        ("stop_itself", "os.kill"),
    ],
)
def test_stuck_code_is_killed_and_says_where_it_was(
    agent: Agent, executor_id: int, stuck: str, where: str
) -> None:
    """A deadline ends any Python code, C code that holds the GIL and stopped processes too."""
    channel = agent.start(executor_id)
    channel.run(stuck)
    until(lambda: _state_of(channel.pid) == "T" or "stuck" in agent.printed(executor_id))

    agent.say(t="kill", id=executor_id, dump=True)
    killed = agent.hear("killed", id=executor_id)
    exited = agent.hear("exited", id=executor_id)

    assert killed["stack"] is not None
    assert any(f'zoo.py", line {n} in {stuck}' in killed["stack"] for n in _lines_of(stuck, where))
    assert killed["unkillable"] is False
    assert (exited["pid"], exited["cause"]) == (channel.pid, "signal:9")
    assert gone(channel.pid)


@pytest.mark.parametrize("spawner", ["plain_child", "session_child", "daemon"])
def test_descendants_die_with_their_executor(
    agent: Agent, executor_id: int, tmp_path: Path, spawner: str
) -> None:
    """Children, children in sessions of their own, and daemons that ignore SIGTERM."""
    channel = agent.start(executor_id)
    written = tmp_path / "pid"
    channel.run(spawner, {"path": str(written)})
    child = int(until(lambda: written.exists() and written.read_text()))

    agent.say(t="kill", id=executor_id, dump=False)

    assert agent.hear("killed", id=executor_id)["stack"] is None
    agent.hear("exited", id=executor_id)
    until(lambda: gone(child), 1.0)


@pytest.mark.parametrize("chains", [1, 20])
def test_processes_that_run_away_are_caught(
    agent: Agent, executor_id: int, tmp_path: Path, chains: int
) -> None:
    """Forking faster than a sweep kills does not help: then all are stopped first."""
    neighbour = agent.start(executor_id + 1)
    channel = agent.start(executor_id)
    channel.run("run_away", {"path": str(tmp_path / "escaped"), "chains": chains})
    until(lambda: "stuck" in agent.printed(executor_id))
    kill_hard(channel.pid)

    assert agent.hear("exited", id=executor_id)["cause"] == "signal:9"
    until(lambda: _is_quiet(agent.keeper.pid), 5.0)
    assert neighbour.call("echo", a=1) == {"a": 1}
    assert not (tmp_path / "escaped").exists()


def test_a_killable_wait_in_the_kernel_is_no_unkillable_one(agent: Agent, executor_id: int) -> None:
    """A parent of vfork shows as uninterruptible, yet dies at once."""
    channel = agent.start(executor_id)
    channel.run("vfork")
    until(lambda: _state_of(channel.pid) == "D")

    agent.say(t="kill", id=executor_id, dump=False)

    assert agent.hear("killed", id=executor_id)["unkillable"] is False
    agent.hear("exited", id=executor_id)


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A freezer of cgroup version 1, where a process does not even die of SIGKILL."""
    path = Path("/sys/fs/cgroup/freezer") / f"pythonpool-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("needs a freezer of cgroup version 1")
    yield path
    (path / "freezer.state").write_text("THAWED")
    until(lambda: not (path / "cgroup.procs").read_text(), 10.0)
    path.rmdir()


@pytest.mark.slow
def test_a_process_that_the_kernel_does_not_end_is_unkillable_and_then_stuck(
    agent: Agent, executor_id: int, freezer: Path
) -> None:
    """The caller is answered in time; the worker is to be replaced after 5 s."""
    channel = agent.start(executor_id)
    (freezer / "cgroup.procs").write_text(str(channel.pid))
    (freezer / "freezer.state").write_text("FROZEN")
    until(lambda: _state_of(channel.pid) == "D")

    at = agent.say(t="kill", id=executor_id, dump=True)
    killed = agent.hear("killed", id=executor_id)

    assert (killed["unkillable"], killed["stack"]) == (True, None)
    assert killed["at"] - at < 0.25
    assert agent.hear("stuck", id=executor_id)["at"] - at > 5
    (freezer / "freezer.state").write_text("THAWED")
    agent.hear("exited", id=executor_id)


def test_a_second_kill_and_a_kill_of_the_dead_are_no_error(agent: Agent, executor_id: int) -> None:
    """The agent's kill may cross the process's own end."""
    agent.start(executor_id)
    agent.say(t="kill", id=executor_id, dump=False)
    agent.say(t="kill", id=executor_id, dump=True)
    agent.hear("exited", id=executor_id)
    agent.say(t="kill", id=executor_id, dump=True)

    following = agent.start(executor_id + 1)

    assert following.call("echo", a=1) == {"a": 1}
    assert [m["t"] for m in agent.heard if m.get("id") == executor_id] == [
        "executor",
        "killed",
        "exited",
    ]


@pytest.mark.parametrize(("status", "cause"), [(0, "exit:0"), (7, "exit:7")])
def test_exit_status_is_the_cause(agent: Agent, executor_id: int, status: int, cause: str) -> None:
    """The executor is the keeper's own child, although the template has forked it."""
    agent.start(executor_id).run("exit", {"status": status})

    assert agent.hear("exited", id=executor_id)["cause"] == cause


def test_template_killed_from_outside_is_replaced_and_executors_go_on(tmp_path: Path) -> None:
    """User code may `kill -1`: what lives goes on, and the next start works."""
    with keeping(tmp_path) as agent:
        template = agent.ready()["pid"]
        channel = agent.start(1)
        kill_hard(template)
        agent.say(t="start", id=2)

        assert agent.ready()["pid"] != template
        assert agent.hear("executor", id=2)["pid"] > 0
        assert channel.call("echo", still="here") == {"still": "here"}


def test_nothing_outlives_a_killed_keeper(tmp_path: Path) -> None:
    """Template and executors die by the parent's death; their orphans fall to the supervisor."""
    with keeping(tmp_path) as agent:
        template = agent.ready()["pid"]
        busy = agent.start(1)
        busy.run("swallow")
        idle = agent.start(2)
        kill_hard(agent.keeper.pid)

        until(lambda: all(map(gone, (template, busy.pid, idle.pid))), 1.0)


@pytest.mark.parametrize("how", ["stop", "closed", "closed_while_starting"])
def test_everything_ends_with_the_agent(tmp_path: Path, how: str) -> None:
    """Told to stop, or the agent's end closed: the keeper kills all that it owns and exits."""
    written = tmp_path / "pid"
    with keeping(tmp_path) as agent:
        if how != "closed_while_starting":
            agent.ready()
            agent.start(1).run("daemon", {"path": str(written)})
            until(lambda: written.exists() and written.read_text())
        if how == "stop":
            agent.say(t="stop")
        else:
            agent.sock.close()
        assert agent.keeper.wait(5) == 0

    assert processes_of(agent.keeper.pid) == []
    assert not written.exists() or gone(int(written.read_text()))


def test_sigterm_waits_for_the_agent(tmp_path: Path) -> None:
    """The agent finishes its calls first; its end is what ends the keeper."""
    with keeping(tmp_path) as agent:
        agent.ready()
        channel = agent.start(1)
        for _ in range(3):
            agent.keeper.terminate()

        assert channel.call("echo", a=2) == {"a": 2}
        assert agent.start(2).call("echo", a=3) == {"a": 3}


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def _is_quiet(keeper: int) -> bool:
    """Whether the keeper has the same few descendants at ten looks: none comes and goes."""
    looks = [tuple(linux.descendants(keeper)) for _ in range(10)]
    return len(set(looks)) == 1 and len(looks[0]) < 10
