"""kubectl on the cluster that tests use: the one of `make cluster`, or the user's own."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.kube.places import KUBECONFIG
from cluster.kube.programs import program
from cluster.kube.steps import run


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster and its administrator's kubeconfig."""

    kubeconfig: Path

    def kubectl(self, *arguments: str, text_in: str | None = None) -> str:
        """Run kubectl and return its stdout; Failed, with what it said, when it was refused."""
        own = program("kubectl")
        found = own if own.exists() else shutil.which("kubectl") or "kubectl"
        return run(found, f"--kubeconfig={self.kubeconfig}", *arguments, text_in=text_in)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get … -o json` says, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """`kubectl apply` these objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", text_in=json.dumps(items))

    def advertise_gpus(self, node: str, count: int) -> None:
        """Let the node offer `count` of nvidia.com/gpu, which no device stands behind.

        kubelet leaves that alone, so that scheduling by it, by selector and toleration is real.
        """
        resources = {"nvidia.com/gpu": str(count)}
        patch = {"status": {"capacity": resources, "allocatable": resources}}
        target = ("patch", "node", node, "--subresource=status", "--type=merge")
        self.kubectl(*target, "-p", json.dumps(patch))

    @property
    def is_ours(self) -> bool:
        """Whether it is that of `make cluster`, whose nodes are network namespaces here."""
        return self.kubeconfig.resolve() == KUBECONFIG


def find_cluster() -> Cluster | None:
    """The cluster of KUBECONFIG, else that of `make cluster` in this checkout, else None."""
    named = os.environ.get("KUBECONFIG")
    kubeconfig = Path(named) if named else KUBECONFIG
    return Cluster(kubeconfig) if kubeconfig.exists() else None
