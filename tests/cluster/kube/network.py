"""The machines of the cluster: a bridge, and for each node a network namespace on it.

All routes are static, so that nothing touches the firewall of the machine, and tests reach pods,
Services and NodePorts directly.
"""

from cluster.kube.places import BRIDGE, BRIDGE_ADDRESS, NODES, PODS, SERVICES, Node
from cluster.kube.steps import run


def make_network() -> None:
    """Make bridge, namespaces and routes; the network of an earlier run must be gone."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", f"{BRIDGE_ADDRESS}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for node in NODES:
        _make_node(node)
    for node in NODES:
        _ip("route", "add", node.pods, "via", node.address)
        for other in NODES:
            if other != node:
                _inside(node, "route", "add", other.pods, "via", other.address)
    # Pods of no node are refused here; they must not leave through the machine's own network.
    _ip("route", "add", "unreachable", PODS)
    # The proxy of the first node answers for Services, and masquerades what comes from outside.
    _ip("route", "add", SERVICES, "via", NODES[0].address)


def remove_network() -> None:
    """Remove all that `make_network` makes, whatever there is of it."""
    links = _names("link", "show")
    namespaces = {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line}
    if "unreachable" in run("ip", "route", "show", "root", PODS):
        _ip("route", "del", "unreachable", PODS)
    for node in NODES:
        # A veth end can outlive its namespace while a process is still dying in there.
        if node.link in links:
            _ip("link", "del", node.link)
        if node.name in namespaces:
            _ip("netns", "del", node.name)
    if BRIDGE in links:
        _ip("link", "del", BRIDGE)


def _make_node(node: Node) -> None:
    _ip("netns", "add", node.name)
    _ip("link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", node.name)
    _ip("link", "set", node.link, "master", BRIDGE, "up")
    _inside(node, "address", "add", f"{node.address}/24", "dev", "eth0")
    _inside(node, "link", "set", "eth0", "up")
    _inside(node, "link", "set", "lo", "up")
    _inside(node, "route", "add", "default", "via", BRIDGE_ADDRESS)
    run("ip", "netns", "exec", node.name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")


def _ip(*arguments: str) -> None:
    run("ip", *arguments)


def _inside(node: Node, *arguments: str) -> None:
    run("ip", "-n", node.name, *arguments)


def _names(*question: str) -> set[str]:
    lines = run("ip", "-brief", *question).splitlines()
    return {line.split()[0].split("@")[0] for line in lines if line}
