"""What a pool's pods may reach: the routers, DNS, and what `spec.egress` names. Pure.

Nothing may reach them: workers dial routers, and a node's kubelet probes its own pods regardless.
Lists are never empty: an API server takes an empty one for news at every apply.
"""

from pythonpool.pool import PythonPool
from pythonpool.spec.podfields import Egress
from pythonpool_operator.kinds import POOL_LABEL, Json
from pythonpool_operator.settings import Settings

ROUTER_LABELS = {"app.kubernetes.io/name": "pythonpool", "app.kubernetes.io/component": "router"}

# The internet is what is left: private ranges, shared and link-local ones are the cluster's own.
_NOT_INTERNET_4 = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
_NOT_INTERNET_6 = ("::1/128", "fc00::/7", "fe80::/10")


def policy_spec(pool: PythonPool, settings: Settings) -> Json:
    """`spec` of the pool's NetworkPolicy."""
    return {
        "podSelector": {"matchLabels": {POOL_LABEL: pool.name}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            _routers(settings),
            _dns(settings),
            *(_destination(each) for each in pool.spec.egress),
        ],
    }


def _routers(settings: Settings) -> Json:
    return {
        "to": [{"podSelector": {"matchLabels": ROUTER_LABELS}}],
        "ports": [{"protocol": "TCP", "port": settings.link_port}],
    }


def _dns(settings: Settings) -> Json:
    cluster = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    return {
        "to": [cluster, *({"ipBlock": {"cidr": cidr}} for cidr in settings.dns_cidrs)],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def _destination(egress: Egress) -> Json:
    to: list[Json] = [{"ipBlock": {"cidr": egress.cidr}}]
    if egress.internet:
        to = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_NOT_INTERNET_4)}},
            {"ipBlock": {"cidr": "::/0", "except": list(_NOT_INTERNET_6)}},
        ]
    ports = [{"protocol": "TCP", "port": port} for port in egress.ports]
    return {"to": to, "ports": ports} if ports else {"to": to}
