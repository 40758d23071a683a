"""What README and the chart's notes promise a newcomer, typed word for word on the cluster."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster.kube.client import Cluster
from cluster.kube.places import CHECKOUT, NODES
from flows.house import wait_for

pytestmark = pytest.mark.timeout(300)

MAKES, USES, UNMAKES = "make cluster", ". .cluster/env", "make cluster-down"
"""First, second and last line: whoever runs these tests has typed the first one."""
ENDED = "--ended:"


class Shell:
    """A shell in the checkout that is typed into.

    Args:
        prefix: a command that it is the end of.
    """

    def __init__(self, *prefix: str) -> None:
        self._bash = subprocess.Popen(
            [*prefix, "bash"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, line: str) -> str:
        """What it printed for this line, which must end well."""
        self.send(f"{line}\nprintf '\\n%s%s\\n' {ENDED} $?\n")
        *said, end = self.until(ENDED)
        assert end == f"{ENDED}0", f"{line}: {said}"
        return "\n".join(said).strip()

    def send(self, text: str) -> None:
        """Type text and go on."""
        assert self._bash.stdin is not None
        self._bash.stdin.write(text)
        self._bash.stdin.flush()

    def until(self, start: str) -> list[str]:
        """The lines that it prints up to one that begins so."""
        said = []
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            said.append(line.rstrip("\n"))
            if line.startswith(start):
                return said
        raise AssertionError(f"it ended: {said}")

    def close(self) -> None:
        """End it and what it has started."""
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()


@contextmanager
def shell(*prefix: str) -> Iterator[Shell]:
    """A shell that is closed."""
    opened = Shell(*prefix)
    try:
        yield opened
    finally:
        opened.close()


def quick_start() -> list[str]:
    """The commands of README's block, but the ones that make and unmake the cluster."""
    blocks = re.findall(r"```sh\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    (block,) = [text for text in blocks if text.startswith(MAKES)]
    lines = [line.partition("  #")[0].rstrip() for line in block.splitlines() if line]
    assert (lines[0], lines[1], lines[-1]) == (MAKES, USES, UNMAKES)
    return lines[1:-1]


@pytest.fixture(scope="module")
def ours(own_nodes: Cluster) -> Iterator[Cluster]:
    """The cluster, put back as it was."""
    yield own_nodes
    own_nodes.kubectl("config", "set-context", "--current", "--namespace=default")
    own_nodes.kubectl("delete", "namespace", "pythonpool", "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def terminal(ours: Cluster) -> Iterator[Shell]:
    """Where the block is typed."""
    with shell() as opened:
        yield opened


@pytest.fixture(scope="module")
def said(terminal: Shell) -> dict[str, str]:
    """What was printed for each line up to those that take everything away again."""
    lines = quick_start()
    return {line: terminal.type(line) for line in lines[: lines.index(taken_away()[0])]}


def taken_away() -> list[str]:
    """The lines that take everything away."""
    lines = quick_start()
    return lines[next(at for at, line in enumerate(lines) if line.startswith("kubectl delete")) :]


def answer(said: dict[str, str], start: str) -> str:
    """What was printed for the one line that begins so."""
    (found,) = [words for line, words in said.items() if line.startswith(start)]
    return found


def result(printed: str) -> dict[str, Any]:
    """The JSON object that stands in what was printed."""
    found: dict[str, Any] = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    return found


def test_the_first_result_by_the_command_line(said: dict[str, str]) -> None:
    said_back = result(answer(said, "kubectl pythonpool run general"))

    assert said_back["echoed"] == {"message": "Hello from Python"}


def test_the_first_result_by_curl(said: dict[str, str]) -> None:
    assert result(answer(said, "curl -H"))["echoed"] == {"message": "hi"}


def test_a_pool_of_ones_own(said: dict[str, str]) -> None:
    """Its image is the example's: FROM a worker image, one file and one line."""
    assert answer(said, "kubectl pythonpool run shop") == "7.5"


def test_the_list_of_pools(said: dict[str, str]) -> None:
    listed = answer(said, "kubectl get pythonpools").splitlines()

    assert {line.split()[0] for line in listed} == {"NAME", "general", "optimizer", "shop"}


def test_the_notes_of_the_chart(said: dict[str, str]) -> None:
    """Their commands, in a network of its own: port 8080 of this machine may be taken."""
    with shell("nsenter", f"--net=/run/netns/{NODES[0].name}", "--") as opened:
        opened.type(USES)
        notes = opened.type("helm -n pythonpool get notes pythonpool")
        watch, forward, call = re.findall(r"^  (\S(?:.*\\\n)*.*)$", notes, re.MULTILINE)

        assert watch.endswith("get pythonpools --watch")
        opened.type(watch.removesuffix(" --watch"))
        assert forward.endswith("&")
        opened.send(f"{forward}\n")
        opened.until("Forwarding from 127.0.0.1:8080")
        assert result(opened.type(call))["echoed"] == {"message": "Hello"}


def test_it_goes_as_it_came(said: dict[str, str], terminal: Shell, ours: Cluster) -> None:
    assert said
    for line in taken_away():
        terminal.type(line)

    kinds = "pythonpools,deployments,pods,services,secrets"
    wait_for(lambda: not ours.get(kinds, "-n", "pythonpool")["items"], 60)
