"""What tests do to the nodes of `make cluster` from outside: this machine's kernel is theirs."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.kube.cgroups import ROOT, is_unified
from cluster.kube.layout import ctr
from cluster.kube.places import NODES, Node, run_folder
from cluster.kube.processes import marked
from cluster.kube.steps import run

Json = dict[str, Any]


def node_of(pod: Json) -> Node:
    """Where it runs."""
    return next(node for node in NODES if node.name == pod["spec"]["nodeName"])


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, as the kernel has it.

    Attributes:
        first: process id of its process 1, on this machine.
    """

    node: Node
    name: str
    first: int

    def kill(self) -> None:
        """SIGKILL to process 1, as the kernel does it."""
        ctr(self.node, "tasks", "kill", "--signal", "SIGKILL", self.name)

    def leave_room(self, size_bytes: int) -> None:
        """Lower the kernel's limit to what is in use and so many bytes more; keeper is not told."""
        used, limit = (
            ("memory.current", "memory.max")
            if is_unified()
            else ("memory.usage_in_bytes", "memory.limit_in_bytes")
        )
        folder = self._cgroup()
        now = int((folder / used).read_text())
        (folder / limit).write_text(str(now + size_bytes))

    def offer_first(self) -> None:
        """Let the kernel choose process 1 when memory runs out.

        Version 2 kills all of a container anyhow; version 1 kills one process, the largest.
        """
        for pid in (self._cgroup() / "cgroup.procs").read_text().split():
            score = 1000 if int(pid) == self.first else 0
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))

    def _cgroup(self) -> Path:
        """Its folder in the tree of the memory controller."""
        for line in Path(f"/proc/{self.first}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if is_unified() or "memory" in controllers.split(","):
                return (ROOT if is_unified() else ROOT / "memory") / path.lstrip("/")
        raise AssertionError("it has no memory cgroup")


def executors_of(pod: Json) -> Container:
    """The running container `executors` of a worker's pod."""
    (status,) = pod["status"]["initContainerStatuses"]
    node, name = node_of(pod), status["containerID"].removeprefix("containerd://")
    rows = [line.split() for line in ctr(node, "tasks", "ls").splitlines()]
    (first,) = [row[1] for row in rows if row[0] == name]
    return Container(node, name, int(first))


@contextmanager
def cut_off(node: Node) -> Iterator[None]:
    """No packet reaches the node or leaves it."""
    run("ip", "link", "set", node.link, "down")
    try:
        yield
    finally:
        run("ip", "link", "set", node.link, "up")


@contextmanager
def frozen_kubelet(node: Node) -> Iterator[None]:
    """The node's kubelet does nothing, while its pods run on."""
    role = f"kubelet@{node.name}"
    (pid,) = [pid for pid, name in marked(run_folder()).items() if name == role]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
