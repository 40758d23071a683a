"""The cgroup of each node: version 1 (a tree for each controller) and version 2 (one tree)."""

import os
from pathlib import Path

from cluster.kube.places import Node
from cluster.kube.processes import kill
from cluster.kube.steps import CanNot

ROOT = Path("/sys/fs/cgroup")
NEEDED = {"cpu", "cpuset", "memory", "pids"}


def is_unified() -> bool:
    """Whether the machine has cgroup version 2 alone."""
    return (ROOT / "cgroup.controllers").exists()


def check_cgroups() -> None:
    """Raise CanNot where a controller that kubelet needs is missing."""
    there = (
        set((ROOT / "cgroup.controllers").read_text().split())
        if is_unified()
        else {entry for tree in _trees() for entry in tree.name.split(",")}
    )
    if NEEDED - there:
        raise CanNot(
            f"kubelet needs the cgroup controllers {', '.join(sorted(NEEDED))}, and this machine"
            f" lacks {', '.join(sorted(NEEDED - there))}"
        )


def make_cgroup(node: Node) -> None:
    """Make the node's cgroup, which kubelet wants to find, with every controller on."""
    if is_unified():
        wanted = " ".join(f"+{name}" for name in sorted(NEEDED))
        (ROOT / "cgroup.subtree_control").write_text(wanted)
    for tree in _trees():
        folder = tree / node.name
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            # Version 1: a new cpuset is empty and takes no process until it is filled.
            if not is_unified() and (tree / name).exists():
                (folder / name).write_text((tree / name).read_text())


def remove_cgroup(node: Node) -> None:
    """Kill what is left in the node's cgroup and remove it, whatever there is of it."""
    for tree in _trees():
        folder = tree / node.name
        if not folder.exists():
            continue
        kill(_processes(folder))
        for path, _, _ in os.walk(folder, topdown=False):
            Path(path).rmdir()


def _trees() -> list[Path]:
    if is_unified():
        return [ROOT]
    return [tree for tree in ROOT.iterdir() if tree.is_dir() and not tree.is_symlink()]


def _processes(folder: Path) -> set[int]:
    found: set[int] = set()
    for path, _, _ in os.walk(folder):
        found.update(int(pid) for pid in (Path(path) / "cgroup.procs").read_text().split())
    return found
