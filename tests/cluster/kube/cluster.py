"""The parts of a cluster in the order in which they start, until pods can be scheduled."""

import json
from typing import Any

from cluster.kube.access import Access, write_yaml
from cluster.kube.containerd import start_containerd
from cluster.kube.controlplane import (
    ControlPlane,
    Endpoints,
    is_ready,
    start_api_server,
    start_controllers,
)
from cluster.kube.dns import start_dns
from cluster.kube.images import import_pause
from cluster.kube.machine import keep_machine
from cluster.kube.network import make_network
from cluster.kube.node import start_node
from cluster.kube.places import API, BRIDGE_ADDRESS, NODES, run_folder
from cluster.kube.processes import Ground, marked
from cluster.kube.programs import program
from cluster.kube.steps import Failed, run, step

RULES: list[dict[str, Any]] = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "pythonpool-cluster:coredns"},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["endpoints", "services", "pods", "namespaces"],
                "verbs": ["list", "watch"],
            },
            {
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": ["list", "watch"],
            },
        ],
    },
    *(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"pythonpool-cluster:{user.removeprefix('system:')}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role,
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        for user, role in (
            ("system:kube-proxy", "system:node-proxier"),
            ("system:coredns", "pythonpool-cluster:coredns"),
        )
    ),
]


def make_cluster() -> None:
    """Start everything; return when both nodes are Ready and names are answered."""
    ground = Ground(run_folder())
    ground.folder.mkdir(parents=True)
    keep_machine(ground.folder)
    with step("network: a bridge and two namespaces"):
        make_network()
    with step("etcd and API server"):
        plane = start_api_server(
            ground, Endpoints(BRIDGE_ADDRESS), tuple(node.name for node in NODES)
        )
    with step("controllers, containerds and DNS"):
        rules = write_yaml(ground.folder / "rules.yaml", *RULES)
        kubectl(plane.access, "apply", "-f", str(rules))
        start_controllers(plane)
        start_dns(plane)
        for node in NODES:
            start_containerd(ground, node)
            import_pause(node)
    with step(f"{len(NODES)} nodes Ready"):
        for node in NODES:
            start_node(plane, node)
        _wait_for_nodes(plane)


def is_running() -> bool:
    """Whether the cluster of this machine serves: every part runs, and its API server is ready."""
    folder = run_folder()
    roles = set(marked(folder).values())
    parts = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "coredns"}
    for node in NODES:
        parts |= {f"{part}@{node.name}" for part in ("containerd", "kubelet", "kube-proxy")}
    return parts <= roles and is_ready(access())


def access() -> Access:
    """The users of this machine's cluster."""
    folder = run_folder()
    return Access(folder / "access", API, folder / "certificates" / "ca.crt")


def kubectl(users: Access, *arguments: str) -> str:
    """Run kubectl as administrator and return its stdout."""
    return run(program("kubectl"), f"--kubeconfig={users.kubeconfig('admin')}", *arguments)


def _wait_for_nodes(plane: ControlPlane) -> None:
    def are_ready() -> bool:
        try:
            items = json.loads(kubectl(plane.access, "get", "nodes", "-o", "json"))["items"]
        except Failed:
            return False
        conditions = [item["status"].get("conditions", []) for item in items]
        ready = [
            entry["status"] == "True"
            for entries in conditions
            for entry in entries
            if entry["type"] == "Ready"
        ]
        return ready.count(True) == len(NODES)

    plane.ground.wait(f"kubelet@{NODES[0].name}", "Ready nodes", are_ready)
