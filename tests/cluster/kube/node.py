"""One node: containerd, kubelet and kube-proxy in the node's network namespace."""

import json
from typing import Any

from cluster.kube.access import write_yaml
from cluster.kube.cgroups import make_cgroup
from cluster.kube.controlplane import ControlPlane
from cluster.kube.images import PAUSE
from cluster.kube.places import BRIDGE_ADDRESS, PODS, Node
from cluster.kube.programs import program

CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/state"

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

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
conf_dir = "{folder}/cni"
"""


def start_containerd(plane: ControlPlane, node: Node) -> None:
    """Start the node's containerd and wait until it answers."""
    folder = node.folder
    (folder / "cni").mkdir(parents=True)
    (folder / "cni" / "pythonpool.conflist").write_text(json.dumps(_cni(node)))
    config = folder / "containerd.toml"
    config.write_text(CONTAINERD.format(folder=folder, socket=node.containerd, pause=PAUSE))
    role = f"containerd@{node.name}"
    plane.ground.start(role, "containerd", "--config", config, namespace=node.name)
    plane.ground.wait(role, "containerd's socket", node.containerd.is_socket)


def start_node(plane: ControlPlane, node: Node) -> None:
    """Start kubelet and kube-proxy; the node registers itself."""
    make_cgroup(node)
    config = write_yaml(node.folder / "kubelet.yaml", _kubelet(plane, node))
    plane.ground.start(
        f"kubelet@{node.name}",
        program("kubelet"),
        f"--config={config}",
        f"--kubeconfig={plane.access.kubeconfig(f'system:node:{node.name}')}",
        f"--root-dir={node.folder / 'kubelet'}",
        f"--cert-dir={node.folder / 'certificates'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        namespace=node.name,
    )
    proxy = write_yaml(node.folder / "proxy.yaml", _proxy(plane, node))
    plane.ground.start(
        f"kube-proxy@{node.name}",
        program("kube-proxy"),
        f"--config={proxy}",
        f"--hostname-override={node.name}",
        namespace=node.name,
    )


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


def _kubelet(plane: ControlPlane, node: Node) -> dict[str, Any]:
    serving = plane.authority.issue(
        node.name, f"/O=system:nodes/CN=system:node:{node.name}", (node.name, node.address)
    )
    # Pods with dnsPolicy Default get this; the machine's own servers can not be reached from them.
    resolve = node.folder / "resolv.conf"
    resolve.write_text(f"nameserver {BRIDGE_ADDRESS}\n")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{node.containerd}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.name}",
        "clusterDNS": [BRIDGE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolve),
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        # Images came by hand and can not be pulled again: never collected.
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "healthzPort": 0,
        "podLogsDir": str(node.folder / "pods"),
        "volumePluginDir": str(node.folder / "plugins"),
        "nodeStatusUpdateFrequency": "5s",
    }


def _proxy(plane: ControlPlane, node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(plane.access.kubeconfig("system:kube-proxy"))},
        "clusterCIDR": PODS,
        "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
