"""Takes a cluster away, whole or half made: processes, cgroups, mounts, network, files."""

import shutil
from pathlib import Path

from cluster.kube.cgroups import remove_cgroup
from cluster.kube.machine import restore_machine
from cluster.kube.network import remove_network
from cluster.kube.places import KUBECONFIG, NODES, SHELL, run_folder
from cluster.kube.processes import family, kill, marked
from cluster.kube.steps import run


def take_down() -> bool:
    """Leave nothing of the cluster of this machine; return whether there was anything.

    What is not there is passed over, so this also cleans up after a crash at any point.
    """
    folder = run_folder()
    running = marked(folder)
    was_there = bool(running) or folder.exists()
    # At once, with SIGKILL: nothing of this cluster is kept, and an API server that is asked
    # politely waits a minute for its watches. In rounds, as a shim may just have been started.
    while running:
        kill(family(running))
        running = marked(folder)
    for node in NODES:
        remove_cgroup(node)
    unmount_below(folder)
    remove_network()
    _remove_marks(folder)
    restore_machine(folder)
    if folder.exists():
        shutil.rmtree(folder)
    KUBECONFIG.unlink(missing_ok=True)
    SHELL.unlink(missing_ok=True)
    return was_there


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below `folder`, the deepest first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].replace("\\040", " ")
        if Path(point).is_relative_to(folder):
            points.append(point)
    for point in reversed(points):
        run("umount", "--lazy", point)


def _remove_marks(folder: Path) -> None:
    """Files at fixed places that other programs of the machine may have files in, too."""
    for address in folder.glob("*/state/io.containerd.runtime.v2.task/k8s.io/*/address"):
        Path(address.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
    for link in Path("/var/log/containers").glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(folder):
            link.unlink()
    for result in Path("/var/lib/cni/results").glob("pythonpool-*"):
        result.unlink(missing_ok=True)
