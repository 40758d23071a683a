"""Memory: who grows over the line is killed with figures, and nobody else."""

from pathlib import Path

from spoken_agent import keeping

MIB = 1 << 20


def test_greediest_executor_is_killed_with_figures(tmp_path: Path) -> None:
    """The keeper is faster than the growth; the idle neighbour lives on."""
    with keeping(tmp_path, resources={"memory": "256Mi"}) as agent:
        agent.ready()
        idle, greedy = agent.start(1), agent.start(2)
        greedy.run("eat", {"megabytes": 2000})
        exited = agent.hear("exited", id=2)

        assert exited["cause"] == "memory"
        assert exited["limit_bytes"] == 256 * MIB
        assert 0.6 * 256 * MIB <= exited["peak_bytes"] <= 256 * MIB
        assert idle.call("echo", a=1) == {"a": 1}
        assert any(line["event"] == "memory_kill" and line["executor"] == 2 for line in agent.log())


def test_children_count_for_their_executor(tmp_path: Path) -> None:
    """executorMemory is for an executor and all below it; RLIMIT_DATA sees each process alone."""
    limits = {"memory": "1Gi", "executorMemory": "160Mi"}
    with keeping(tmp_path, resources=limits) as agent:
        agent.ready()
        agent.start(1).run("eat_in_children", {"megabytes": 60, "children": 6})
        exited = agent.hear("exited", id=1)

    assert (exited["cause"], exited["limit_bytes"]) == ("memory", 160 * MIB)
    assert exited["peak_bytes"] > 160 * MIB


def test_pages_that_forks_share_are_counted_once(tmp_path: Path) -> None:
    """Six children of a process of 60 MB that only read: 60 MB, not 420."""
    with keeping(tmp_path, resources={"memory": "256Mi"}) as agent:
        agent.ready()
        channel = agent.start(1)

        assert channel.call("share_with_children", megabytes=60, children=6) == 6


def test_one_process_alone_gets_a_memory_error(tmp_path: Path) -> None:
    """RLIMIT_DATA comes first, and the executor lives on."""
    limits = {"memory": "1Gi", "executorMemory": "128Mi"}
    with keeping(tmp_path, resources=limits) as agent:
        agent.ready()
        channel = agent.start(1)

        assert channel.call("meet_the_limit") == "MemoryError"
        assert channel.call("echo", a=1) == {"a": 1}


def test_memory_is_told_when_it_changes(tmp_path: Path) -> None:
    """At most once a second; each executor's own, without what it shares with the template."""
    with keeping(tmp_path, resources={"memory": "1Gi"}) as agent:
        agent.ready()
        channel = agent.start(1)
        channel.call("keep", megabytes=100)
        agent.say(t="start", id=2)
        told = agent.hear("memory")
        while told["executors"].get("1", 0) < 90 * MIB:
            told = agent.hear("memory")

    assert told["limit_bytes"] == 1 << 30
    assert 100 * MIB <= told["executors"]["1"] <= 120 * MIB
    assert told["executors"].get("2", 0) < 10 * MIB
    assert 100 * MIB <= told["bytes"] <= 250 * MIB
