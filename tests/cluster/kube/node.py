"""What makes a node of one that runs containers: kubelet and kube-proxy, in its namespace."""

from typing import Any

from cluster.kube.access import write_yaml
from cluster.kube.cgroups import make_cgroup
from cluster.kube.controlplane import ControlPlane
from cluster.kube.places import BRIDGE_ADDRESS, PODS, Node
from cluster.kube.programs import program


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
