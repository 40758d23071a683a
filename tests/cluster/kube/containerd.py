"""The containerd of each node, in the node's network namespace.

Its images stay in the cache folder from one cluster to the next; its containers do not.
"""

import json
import shutil
from typing import Any

from cluster.kube.images import PAUSE
from cluster.kube.layout import ctr
from cluster.kube.places import Node
from cluster.kube.processes import Ground

DAEMON = """\
version = 2
root = "{node.store}"
state = "{node.folder}/state"

[grpc]
address = "{node.containerd}"

[plugins."io.containerd.internal.v1.opt"]
path = "{node.folder}/opt"
"""

WITHOUT_PODS = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'

PODS = """\

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE runc dies where it is to lower a score.
restrict_oom_score_adj = true
# Sandboxes' namespaces below the state folder, so that nothing is to be looked for elsewhere.
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{node.folder}/cni"
"""


def start_containerd(ground: Ground, node: Node) -> None:
    """Start the node's containerd without any container and wait until it answers."""
    folder = node.folder
    (folder / "cni").mkdir(parents=True)
    (folder / "cni" / "pythonpool.conflist").write_text(json.dumps(_cni(node)))
    pods = node.store / "io.containerd.grpc.v1.cri"
    if pods.exists():
        _forget_containers(ground, node)
        shutil.rmtree(pods)
    _start(ground, node, (DAEMON + PODS).format(node=node, pause=PAUSE))


def _forget_containers(ground: Ground, node: Node) -> None:
    """Drop what an earlier cluster has run, before the part that would take it up again starts."""
    _start(ground, node, WITHOUT_PODS + DAEMON.format(node=node))
    containers = ctr(node, "containers", "ls", "-q").split()
    if containers:
        ctr(node, "containers", "rm", *containers)
    # Images that a newer one has taken the name of are held by these alone.
    ids = [name for name in ctr(node, "images", "ls", "-q").split() if name.startswith("sha256:")]
    if ids:
        ctr(node, "images", "rm", "--sync", *ids)
    ground.stop(_role(node))
    node.containerd.unlink()


def _start(ground: Ground, node: Node, settings: str) -> None:
    config = node.folder / "containerd.toml"
    config.write_text(settings)
    ground.start(_role(node), "containerd", "--config", config, namespace=node.name)
    ground.wait(_role(node), "containerd's socket", node.containerd.is_socket)


def _role(node: Node) -> str:
    return f"containerd@{node.name}"


def _cni(node: Node) -> dict[str, Any]:
    ranges = [[{"subnet": node.pods}]]
    addresses = {
        "type": "host-local",
        "dataDir": str(node.folder / "addresses"),
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {
        "cniVersion": "0.4.0",
        "name": "pythonpool",
        "plugins": [{**bridge, "ipam": addresses}, ports],
    }
