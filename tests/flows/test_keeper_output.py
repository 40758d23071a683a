"""What adapters print goes to the log: labelled, cut, bounded, and never in anybody's way."""

import json
import subprocess
from pathlib import Path

from spoken_agent import keeping, until


def test_lines_carry_executor_and_call(tmp_path: Path) -> None:
    """stdout and stderr alike, with the id of the call that ran when it was written."""
    with keeping(tmp_path) as agent:
        agent.ready()
        channel = agent.start(1)
        channel.call("say", text="first")
        channel.call("say", text="second é\tx")
        until(lambda: len(agent.printed(1)) == 2)
        lines = [
            line for line in agent.log() if line["event"] == "output" and line["executor"] == 1
        ]

        assert agent.printed(None) == ["template starts"]
        assert [(line["call"], line["line"]) for line in lines] == [
            ("call-1", "first"),
            ("call-2", "second é\tx"),
        ]
        assert {line["pool"] for line in agent.log()} == {"zoo"}


def test_last_lines_come_with_the_death(tmp_path: Path) -> None:
    """Twenty of them, oldest first."""
    with keeping(tmp_path) as agent:
        agent.ready()
        channel = agent.start(1)
        channel.run("say_and_die", {"lines": 30})
        exited = agent.hear("exited", id=1)

    assert exited["log"].splitlines() == [f"line {number}" for number in range(10, 30)]


def test_a_flood_is_bounded_and_harms_nobody(tmp_path: Path) -> None:
    """1 MB at once and 1 MB a second go to the log, the rest is counted; neighbours are served."""
    with keeping(tmp_path) as agent:
        agent.ready()
        loud, quiet = agent.start(1), agent.start(2)
        loud.run("flood", {"megabytes": 8})
        for number in range(50):
            assert quiet.call("echo", a=number) == {"a": number}
        loud.result()
        until(lambda: _dropped(agent.log()) + _printed_bytes(agent.printed(1)) == 8_000_000, 10.0)

        assert _printed_bytes(agent.printed(1)) < 6_000_000
        assert _dropped(agent.log()) > 1_000_000


def test_reader_of_the_log_that_sleeps_stops_nothing(tmp_path: Path) -> None:
    """The keeper's own stdout is a full pipe: it drops lines, and calls go on."""
    with keeping(tmp_path, log=subprocess.PIPE) as agent:
        agent.ready()
        channel = agent.start(1)
        channel.call("flood", megabytes=3)
        assert channel.call("echo", a=1) == {"a": 1}
        agent.say(t="kill", id=1, dump=True)
        assert agent.hear("exited", id=1)["cause"] == "signal:9"
        assert agent.keeper.stdout is not None
        line = json.loads(agent.keeper.stdout.readline())

    assert line["event"] == "output"


def _printed_bytes(lines: list[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _dropped(log: list[dict[str, object]]) -> int:
    found = [line["bytes"] for line in log if line["event"] == "output_dropped"]
    return sum(count for count in found if isinstance(count, int))
