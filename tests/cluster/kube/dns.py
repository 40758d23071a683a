"""CoreDNS on the bridge's address: the names of Services, for pods and for tests."""

from cluster.kube.controlplane import ControlPlane
from cluster.kube.places import BRIDGE_ADDRESS
from cluster.kube.programs import program

CORE_FILE = """\
.:53 {{
    bind {address}
    errors
    ready {address}:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig} pythonpool
        pods insecure
        ttl 1
    }}
    cache 1
}}
"""


def start_dns(plane: ControlPlane) -> None:
    """Start CoreDNS; it answers as soon as it has seen the Services."""
    file = plane.ground.folder / "Corefile"
    kubeconfig = plane.access.kubeconfig("system:coredns")
    file.write_text(CORE_FILE.format(address=BRIDGE_ADDRESS, kubeconfig=kubeconfig))
    plane.ground.start("coredns", program("coredns"), "-conf", file)
