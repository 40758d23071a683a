"""Where the cluster of `make cluster` lives: versions, folders, names and addresses."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "v1.34.4"
COREDNS = "v1.12.4"
HELM = "v4.3.1"
GO = "1.26.6"

CHECKOUT = Path(__file__).resolve().parents[3]
KUBECONFIG = CHECKOUT / ".cluster" / "kubeconfig"
SHELL = CHECKOUT / ".cluster" / "env"
"""What a shell reads to use the cluster: `. .cluster/env`."""

BRIDGE = "pythonpool0"
BRIDGE_ADDRESS = "198.51.100.1"
"""The root namespace on the bridge: API server, etcd and DNS listen here alone."""
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
SERVICE_OF_API = "10.96.0.1"
API = f"https://{BRIDGE_ADDRESS}:6443"


def cache_folder() -> Path:
    """The folder that keeps what was built, by name and version; safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pythonpool"


def run_folder() -> Path:
    """The folder of the running cluster's state: one cluster to a machine."""
    state = Path("/var/lib")
    parent = state if os.access(state, os.W_OK) else Path(tempfile.gettempdir())
    return parent / "pythonpool-cluster"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: a network namespace, a cgroup of the same name, and a folder."""

    number: int

    @property
    def name(self) -> str:
        """Name of the node, of its network namespace and of its cgroup."""
        return f"pythonpool-node-{self.number}"

    @property
    def address(self) -> str:
        """IPv4 address on the bridge."""
        return f"198.51.100.{10 + self.number}"

    @property
    def pods(self) -> str:
        """Range of its pods, in CIDR form."""
        return f"10.244.{self.number}.0/24"

    @property
    def link(self) -> str:
        """Name of the veth end in the root namespace, at most 15 characters."""
        return f"pythonpool-n{self.number}"

    @property
    def folder(self) -> Path:
        """State of its containerd, kubelet and proxy."""
        return run_folder() / self.name

    @property
    def store(self) -> Path:
        """Its images, kept when the cluster is gone."""
        return cache_folder() / "images" / self.name

    @property
    def containerd(self) -> Path:
        """Socket of its containerd, for `ctr -a SOCKET -n k8s.io …`."""
        return self.folder / "containerd.sock"


NODES = (Node(1), Node(2))
