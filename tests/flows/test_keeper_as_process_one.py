"""The keeper as process 1 of a container, shown in a PID namespace."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from spoken_agent import NAMESPACE, Agent, keeping, until


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """A keeper that is process 1."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a PID namespace")
    with keeping(tmp_path, container=True) as agent:
        agent.ready()
        yield agent


def test_user_code_that_kills_everything_does_not_kill_the_keeper(agent: Agent) -> None:
    """The template is rebuilt, and the death of the neighbour is told."""
    agent.start(1)
    agent.start(2).run("kill_all")

    assert agent.hear("exited", id=1)["cause"] == "signal:9"
    agent.ready()
    assert agent.start(3).call("echo", a=1) == {"a": 1}


def test_run_aways_are_caught_and_neighbours_go_on(agent: Agent, tmp_path: Path) -> None:
    """Everything is stopped for a moment, and what is not theirs goes on."""
    neighbour = agent.start(1)
    agent.start(2).run("run_away", {"path": str(tmp_path / "escaped"), "chains": 20, "seconds": 3})
    until(lambda: "stuck" in agent.printed(2))
    agent.say(t="kill", id=2, dump=False)

    agent.hear("exited", id=2)
    assert neighbour.call("wait_alone", seconds=3.5) is True
    assert not (tmp_path / "escaped").exists()


def test_sigterm_is_noticed_and_waits_for_the_agent(agent: Agent) -> None:
    """Process 1 without a handler would not even see it."""
    channel = agent.start(1)

    assert channel.call("terminate", pid=1) is None
    assert channel.call("echo", a=1) == {"a": 1}
    agent.say(t="stop")
    assert agent.keeper.wait(5) == 0
