"""etcd, kube-apiserver, controller manager and scheduler, as background programs.

Knows no nodes; the quick tests of the operator use the first two alone (apiserver.py).
"""

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cluster.kube.access import Access, token_of, write_access, write_yaml
from cluster.kube.certificates import Authority, make_authority, make_rsa_key
from cluster.kube.places import SERVICE_OF_API, SERVICES
from cluster.kube.processes import Ground
from cluster.kube.programs import program

ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the control plane of one cluster listens: one address, all ports free on it."""

    address: str
    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """An API server that answers, and what its clients need."""

    ground: Ground
    endpoints: Endpoints
    authority: Authority
    access: Access


def start_api_server(ground: Ground, endpoints: Endpoints, nodes: tuple[str, ...]) -> ControlPlane:
    """Start etcd and kube-apiserver with new keys; return when it is ready."""
    authority = make_authority(ground.folder / "certificates")
    url = f"https://{endpoints.address}:{endpoints.api}"
    access = Access(ground.folder / "access", url, authority.certificate)
    write_access(access, nodes)
    plane = ControlPlane(ground, endpoints, authority, access)
    _start_etcd(plane)
    ground.start("kube-apiserver", program("kube-apiserver"), *_api_flags(plane))
    ground.wait("kube-apiserver", "a ready API server", lambda: is_ready(access))
    return plane


def is_ready(access: Access) -> bool:
    """Whether the API server answers its readiness probe within two seconds."""
    try:
        context = ssl.create_default_context(cafile=str(access.authority))
        admin = token_of(access.kubeconfig("admin"))
        request = urllib.request.Request(
            f"{access.url}/readyz", headers={"Authorization": f"Bearer {admin}"}
        )
        proxies = urllib.request.ProxyHandler({})
        opener = urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context))
        with opener.open(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError, ssl.SSLError):
        return False


def start_controllers(plane: ControlPlane) -> None:
    """Start controller manager and scheduler; they catch up by themselves."""
    listen = (f"--bind-address={plane.endpoints.address}", "--profiling=false")
    manager = plane.access.kubeconfig("system:kube-controller-manager")
    plane.ground.start(
        "kube-controller-manager",
        program("kube-controller-manager"),
        *listen,
        f"--kubeconfig={manager}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--root-ca-file={plane.authority.certificate}",
        f"--service-account-private-key-file={_service_account_key(plane)}",
        # A lost node is seen in tests within half a minute instead of nearly one.
        "--node-monitor-grace-period=20s",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    )
    scheduler = plane.access.kubeconfig("system:kube-scheduler")
    plane.ground.start(
        "kube-scheduler",
        program("kube-scheduler"),
        *listen,
        f"--kubeconfig={scheduler}",
        "--leader-elect=false",
    )


def _start_etcd(plane: ControlPlane) -> None:
    endpoints = plane.endpoints
    client = f"http://{endpoints.address}:{endpoints.etcd}"
    peer = f"http://{endpoints.address}:{endpoints.etcd_peer}"
    plane.ground.start(
        "etcd",
        program("etcd"),
        f"--data-dir={plane.ground.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # Nothing of this cluster outlives a crash, so nothing needs to reach the disk in time.
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    )


def _service_account_key(plane: ControlPlane) -> Path:
    return plane.authority.folder / "service-accounts.key"


def _api_flags(plane: ControlPlane) -> list[str]:
    endpoints, authority = plane.endpoints, plane.authority
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", ISSUER[8:])
    addresses = (endpoints.address, SERVICE_OF_API, *names)
    serving = authority.issue("kube-apiserver", "/CN=kube-apiserver", addresses)
    kubelets = authority.issue("kubelets", "/O=system:masters/CN=kube-apiserver-kubelets")
    # RSA, as most clusters have it: the router verifies the tokens that this key signs.
    make_rsa_key(_service_account_key(plane))
    return [
        f"--etcd-servers=http://{endpoints.address}:{endpoints.etcd}",
        f"--bind-address={endpoints.address}",
        f"--advertise-address={endpoints.address}",
        f"--secure-port={endpoints.api}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={authority.certificate}",
        f"--kubelet-certificate-authority={authority.certificate}",
        f"--kubelet-client-certificate={kubelets.certificate}",
        f"--kubelet-client-key={kubelets.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--token-auth-file={plane.access.tokens}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={_service_account_key(plane)}",
        f"--service-account-signing-key-file={_service_account_key(plane)}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--cert-dir={plane.authority.folder}",
        "--profiling=false",
        *_audit(plane.ground.folder),
    ]


def _audit(folder: Path) -> list[str]:
    """Tests count the requests of operator and router in the audit log."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/*"]},
            {"level": "None", "userGroups": ["system:nodes", "system:masters"]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        ],
    }
    file = write_yaml(folder / "audit.yaml", policy)
    return [f"--audit-policy-file={file}", f"--audit-log-path={folder / 'logs' / 'audit.log'}"]
