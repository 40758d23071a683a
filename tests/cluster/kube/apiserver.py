"""etcd and kube-apiserver alone: the real API server for quick tests, on loopback, in seconds.

No nodes and no controllers: objects are stored, checked and watched, and nothing acts on them.
"""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.kube.controlplane import Endpoints, start_api_server
from cluster.kube.places import CHECKOUT
from cluster.kube.processes import Ground
from cluster.kube.programs import program, provide
from cluster.kube.steps import run

PARTS = ("kube-apiserver", "etcd", "kubectl")


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running API server; `kubeconfig` is its administrator's, `folder` has the logs."""

    url: str
    kubeconfig: Path
    folder: Path

    def kubectl(self, *arguments: str, text_in: str | None = None) -> str:
        """Run kubectl as administrator and return its stdout; Failed with what it said else."""
        return run(
            program("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments, text_in=text_in
        )


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """Start one that has the CRD of crds/; stop it and remove its folder at the end.

    Builds what is missing first, which takes minutes the first time.

    Raises:
        CanNot: a program is missing and can not be had on this machine.
        Failed: it did not start.
    """
    provide(*PARTS)
    folder = Path(tempfile.mkdtemp(prefix="pythonpool-api-"))
    # Tied: a test run that is killed leaves no etcd behind.
    ground = Ground(folder, tied=True)
    try:
        endpoints = Endpoints("127.0.0.1", *_free_ports(3))
        plane = start_api_server(ground, endpoints, ())
        server = ApiServer(plane.access.url, plane.access.kubeconfig("admin"), folder)
        install_crds(server)
        yield server
    finally:
        ground.stop()
        shutil.rmtree(folder)


def install_crds(server: ApiServer) -> None:
    """Apply crds/ and wait until PythonPools are served."""
    server.kubectl("apply", "-f", str(CHECKOUT / "crds"))
    wait_for_crd(server.kubectl)


def wait_for_crd(kubectl: Callable[..., str]) -> None:
    """Wait until PythonPools are served."""
    # First what conditions come with: kubectl can not look for one where there are none at all.
    for what in ("jsonpath={.status.acceptedNames.kind}=PythonPool", "condition=Established"):
        kubectl("wait", f"--for={what}", "crd/pythonpools.pythonpool.dev", "--timeout=30s")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
