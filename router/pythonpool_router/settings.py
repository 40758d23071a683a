"""The command line of one router process."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

MAX_BODY_BYTES = 16 * 1_048_576

Errors = Literal["Full", "Message"]
"""What callers are told of an exception: all, or all but its traceback."""


@dataclass(frozen=True, slots=True)
class Place:
    """A TCP port; an empty host: every address of this machine, port 0: any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What a router in a cluster is told.

    Attributes:
        namespace: whose pools it serves.
        audience: of the workers' tokens.
        link_port: where every router listens for workers.
        kubeconfig: how the API server is reached; None: as in a pod.
        reviews_tokens: the API server may be asked about workers' tokens, where its keys are not
            to be read.
    """

    namespace: str
    audience: str
    link_port: int
    kubeconfig: Path | None
    reviews_tokens: bool = False

    def link_address(self, host: str) -> str:
        """The address of the router at that IP, for workers."""
        return f"tls:[{host}]:{self.link_port}" if ":" in host else f"tls:{host}:{self.link_port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """How one router runs.

    Attributes:
        pools: the supervisor's pools.json; None in a cluster.
        link: the Unix socket that workers dial; in a cluster a TCP port.
        token_file: the file with the callers' token.
        cluster: None on one machine.
        link_certificate: folder with `tls.crt` and `tls.key` for links over TCP.
        index: which of the routers of this machine this is, from 0.
        listen_fd: inherited TCP listener for callers, None for none.
        listen: TCP port for callers, None for none.
        unix: path of a Unix socket for callers, None for none.
        monitoring_fd: inherited TCP listener of the second port, None for none.
        monitoring: TCP port of the second port, None for none.
        errors: whether tracebacks of commands reach callers.
        hosts: further names that a Host header may have; in a cluster any may.
        max_body_bytes: longest request body.
        linger_seconds: how long new connections are accepted after SIGTERM.
        grace_seconds: how long running calls are waited for after SIGTERM.
    """

    pools: Path | None
    link: Path | Place
    token_file: Path
    cluster: ClusterSettings | None = None
    link_certificate: Path | None = None
    index: int = 0
    listen_fd: int | None = None
    listen: Place | None = None
    unix: Path | None = None
    monitoring_fd: int | None = None
    monitoring: Place | None = None
    errors: Errors = "Full"
    hosts: tuple[str, ...] = field(default=())
    max_body_bytes: int = MAX_BODY_BYTES
    linger_seconds: float = 0.0
    grace_seconds: float = 10.0


def parse_settings(arguments: list[str] | None = None) -> Settings:
    """The settings that a command line spells; exits with 2 and usage when it is wrong."""
    parser = _parser()
    values = vars(parser.parse_args(arguments))
    if all(values[name] is None for name in ("listen_fd", "listen", "unix")):
        parser.error("give --listen, --listen-fd or --unix: where callers come in")
    namespace, audience = values.pop("namespace"), values.pop("link_audience")
    kubeconfig, reviews = values.pop("kubeconfig"), values.pop("token_review")
    if (values["pools"] is None) == (namespace is None):
        parser.error("give either --pools (one machine) or --namespace (a cluster)")
    link = values["link"]
    if isinstance(link, Place) != (namespace is not None):
        parser.error("--link must be unix:PATH with --pools, tls:HOST:PORT with --namespace")
    if values["errors"] is None:
        values["errors"] = "Full" if namespace is None else "Message"
    cluster = None
    if isinstance(link, Place):
        if values["link_certificate"] is None:
            parser.error("--link tls:HOST:PORT takes --link-certificate FOLDER")
        cluster = ClusterSettings(namespace, audience, link.port, kubeconfig, reviews)
    return Settings(**{**values, "hosts": tuple(values["hosts"]), "cluster": cluster})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pythonpool_router", allow_abbrev=False)
    add = parser.add_argument
    add("--pools", type=Path, metavar="PATH", help="one machine: the supervisor's pools.json")
    add("--namespace", metavar="NAME", help="cluster: serve the PythonPools of this namespace")
    add("--kubeconfig", type=Path, metavar="PATH", help="cluster, outside of a pod")
    add("--link", type=_link, required=True, metavar="unix:PATH|tls:HOST:PORT")
    add("--link-certificate", type=Path, metavar="FOLDER", help="with tls.crt and tls.key")
    add("--link-audience", default="pythonpool-link", metavar="TEXT", help="of workers' tokens")
    add("--token-review", action="store_true", help="ask about them where keys are not readable")
    add("--token-file", type=Path, required=True, metavar="PATH", help="the callers' token")
    add("--listen", type=_tcp, metavar="tcp:HOST:PORT", help="for callers")
    add("--listen-fd", type=int)
    add("--unix", type=Path, metavar="PATH", help="for callers")
    add("--monitoring", type=_tcp, metavar="tcp:HOST:PORT")
    add("--monitoring-fd", type=int)
    add("--index", type=int, default=0)
    add("--host", action="append", default=[], dest="hosts", metavar="NAME")
    add("--errors", choices=get_args(Errors), help="Full: tracebacks reach callers")
    add("--max-body", type=int, default=MAX_BODY_BYTES, dest="max_body_bytes")
    add("--linger", type=float, default=0.0, dest="linger_seconds")
    add("--grace", type=float, default=10.0, dest="grace_seconds")
    return parser


def _link(text: str) -> Path | Place:
    scheme, _, path = text.partition(":")
    if scheme == "unix" and path:
        return Path(path)
    return _place(text, "tls", "unix:PATH or tls:HOST:PORT")


def _tcp(text: str) -> Place:
    return _place(text, "tcp", "tcp:HOST:PORT")


def _place(text: str, wanted: str, form: str) -> Place:
    scheme, _, rest = text.partition(":")
    host, colon, port = rest.rpartition(":")
    if scheme != wanted or not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} must be {form}")
    return Place(host.removeprefix("[").removesuffix("]"), int(port))
