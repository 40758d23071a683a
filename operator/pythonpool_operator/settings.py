"""What the operator is told when it starts: images, names of the router's objects, limits."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Api:
    """Where the API server is, and who we are there.

    Attributes:
        server: its URL.
        token_file: a bearer token, read again when the file changes; None: no token.
        ca_file: certificates that it may show; None: those of the system.
    """

    server: str
    token_file: Path | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class Lives:
    """Seconds: of an authority, of a certificate, and of an authority that does not sign yet."""

    authority_seconds: float = 730 * 86_400.0
    certificate_seconds: float = 90 * 86_400.0
    overlap_seconds: float = 3_600.0


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The links' TLS.

    Attributes:
        secret: the Secret with the routers' certificate, in each namespace that has routers.
        lives: of what the operator keeps in it; None: others keep it, and it is only read.
    """

    secret: str
    lives: Lives | None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; see `parse` for the flags.

    Attributes:
        namespaces: those that are served; none: all.
        agent_image: the core image, for the container `agent`.
        worker_images: image of the executors by the adapter's name; `neural-gpu` is taken for
            the adapter `neural` in pools with GPUs.
        pull_policy: imagePullPolicy of both containers.
        router_service: headless Service in the pool's namespace that names all routers.
        link_port: TCP port of the routers for links.
        link_ca: ConfigMap in the pool's namespace whose `ca.crt` signs the routers' certificates.
        load_host: where routers tell their load; empty: at the addresses of `router_service`.
        load_port: their monitoring port.
        load_seconds: they are asked again after this long, give or take a fifth.
        links: where the routers' certificates are; None: the operator leaves them alone, and the
            ConfigMap `link_ca` too.
        audience: of the agents' tokens.
        dns_cidrs: address ranges of DNS servers beside the pods labelled `k8s-app: kube-dns`.
        monitoring_port: of /metrics, /livez, /readyz; 0: any free one.
        resync_seconds: each pool is looked at again after this long, give or take a fifth.
        workers: pools that are reconciled at the same time.
    """

    api: Api
    agent_image: str
    worker_images: Mapping[str, str] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    pull_policy: str = "IfNotPresent"
    router_service: str = "pythonpool-links"
    link_port: int = 7443
    link_ca: str = "pythonpool-link-ca"
    load_host: str = ""
    load_port: int = 9090
    load_seconds: float = 10.0
    links: LinkSettings | None = None
    audience: str = "pythonpool-link"
    dns_cidrs: tuple[str, ...] = ()
    monitoring_port: int = 8081
    resync_seconds: float = 60.0
    workers: int = 16


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from the command line; in a pod the API server is found by itself.

    Raises:
        SystemExit: a flag is wrong; argparse has said so.
    """
    parser = _parser()
    said = parser.parse_args(arguments)
    return Settings(
        api=_api(parser, said, environment),
        agent_image=said.agent_image,
        worker_images=dict(_pair(parser, text) for text in said.worker_image),
        namespaces=tuple(said.namespace),
        pull_policy=said.pull_policy,
        router_service=said.router_service,
        link_port=said.link_port,
        link_ca=said.link_ca,
        load_host=said.load_host,
        load_port=said.load_port,
        load_seconds=said.load_seconds,
        links=_links(parser, said),
        audience=said.audience,
        dns_cidrs=tuple(said.dns_cidr),
        monitoring_port=said.monitoring_port,
        resync_seconds=said.resync_seconds,
        workers=said.workers,
    )


def api_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Api:
    """Where the API server is, from a command line that says nothing else.

    Raises:
        SystemExit: a flag is wrong; argparse has said so.
    """
    parser = argparse.ArgumentParser(prog="python -m pythonpool_operator.crd")
    _add_api(parser)
    return _api(parser, parser.parse_args(arguments), environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pythonpool_operator", description="Makes pods out of PythonPools."
    )
    add = parser.add_argument
    add("--namespace", action="append", default=[], metavar="NAME", help="serve it; default: all")
    add("--agent-image", required=True, metavar="IMAGE", help="the core image")
    add("--worker-image", action="append", default=[], metavar="ADAPTER=IMAGE")
    add("--pull-policy", default="IfNotPresent", choices=["Always", "IfNotPresent", "Never"])
    add("--router-service", default="pythonpool-links", metavar="NAME")
    add("--link-port", type=int, default=7443, metavar="PORT")
    add("--link-ca", default="pythonpool-link-ca", metavar="CONFIGMAP")
    add("--load-host", default="", metavar="HOST", help="of routers; default: their Service")
    add("--load-port", type=int, default=9090, metavar="PORT", help="of routers, for monitoring")
    add("--load-seconds", type=float, default=10.0, metavar="SECONDS")
    add("--link-secret", default="", metavar="SECRET", help="with the routers' certificate")
    add(
        "--rotate-links", action="store_true", help="make what --link-secret holds, again and again"
    )
    lives = Lives()
    add("--link-authority-seconds", type=float, default=lives.authority_seconds, metavar="SECONDS")
    add("--link-certificate-seconds", type=float, default=lives.certificate_seconds, metavar="S")
    add("--link-overlap-seconds", type=float, default=lives.overlap_seconds, metavar="SECONDS")
    add("--audience", default="pythonpool-link")
    add("--dns-cidr", action="append", default=[], metavar="CIDR", help="DNS outside of pods")
    add("--monitoring-port", type=int, default=8081, metavar="PORT")
    add("--resync-seconds", type=float, default=60.0, metavar="SECONDS")
    add("--workers", type=int, default=16, metavar="N")
    _add_api(parser)
    return parser


def _add_api(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--api-server", metavar="URL", help="default: that of the pod's cluster")
    add("--token-file", type=Path, metavar="PATH")
    add("--ca-file", type=Path, metavar="PATH")


def _api(
    parser: argparse.ArgumentParser, said: argparse.Namespace, environment: Mapping[str, str]
) -> Api:
    if said.api_server:
        return Api(said.api_server.rstrip("/"), said.token_file, said.ca_file)
    host = environment.get("KUBERNETES_SERVICE_HOST")
    if not host:
        parser.error("outside of a pod --api-server must be given")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Api(server, said.token_file or _IN_POD / "token", said.ca_file or _IN_POD / "ca.crt")


def _links(parser: argparse.ArgumentParser, said: argparse.Namespace) -> LinkSettings | None:
    if not said.link_secret:
        return None
    lives = Lives(
        said.link_authority_seconds, said.link_certificate_seconds, said.link_overlap_seconds
    )
    # What is left of a life when new ones are made must be enough for what follows.
    if not 0 <= 4 * lives.overlap_seconds <= lives.certificate_seconds:
        parser.error("--link-overlap-seconds must be at most a quarter of a certificate's life")
    if not 0 < 4 * lives.certificate_seconds <= lives.authority_seconds:
        parser.error("--link-certificate-seconds must be at most a quarter of an authority's life")
    return LinkSettings(said.link_secret, lives if said.rotate_links else None)


def _pair(parser: argparse.ArgumentParser, text: str) -> tuple[str, str]:
    adapter, equals, image = text.partition("=")
    if not (adapter and equals and image):
        parser.error(f"--worker-image is {text}, must be ADAPTER=IMAGE")
    return adapter, image
