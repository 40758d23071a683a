"""The command line of one router process."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

MAX_BODY_BYTES = 16 * 1_048_576


@dataclass(frozen=True, slots=True)
class Settings:
    """How one router runs.

    Attributes:
        pools: the supervisor's pools.json.
        index: which of the routers this is, from 0.
        link: path of the Unix socket that workers dial.
        listen_fd: inherited TCP listener, None for none.
        unix: path of a Unix socket for callers, None for none.
        token_file: the file with the callers' token.
        monitoring_fd: inherited TCP listener of the second port, None for none.
        hosts: further names that a Host header may have.
        max_body_bytes: longest request body.
        linger_seconds: how long new connections are accepted after SIGTERM.
        grace_seconds: how long running calls are waited for after SIGTERM.
    """

    pools: Path
    link: Path
    token_file: Path
    index: int = 0
    listen_fd: int | None = None
    unix: Path | None = None
    monitoring_fd: int | None = None
    hosts: tuple[str, ...] = field(default=())
    max_body_bytes: int = MAX_BODY_BYTES
    linger_seconds: float = 0.0
    grace_seconds: float = 10.0


def parse_settings(arguments: list[str] | None = None) -> Settings:
    """The settings that a command line spells; exits with 2 and usage when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m pythonpool_router", allow_abbrev=False)
    parser.add_argument("--pools", type=Path, required=True)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--link", type=_socket_path, required=True, metavar="unix:PATH")
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--listen-fd", type=int)
    parser.add_argument("--unix", type=Path)
    parser.add_argument("--monitoring-fd", type=int)
    parser.add_argument("--host", action="append", default=[], dest="hosts", metavar="NAME")
    parser.add_argument("--max-body", type=int, default=MAX_BODY_BYTES, dest="max_body_bytes")
    parser.add_argument("--linger", type=float, default=0.0, dest="linger_seconds")
    parser.add_argument("--grace", type=float, default=10.0, dest="grace_seconds")
    values = vars(parser.parse_args(arguments))
    if values["listen_fd"] is None and values["unix"] is None:
        parser.error("give --listen-fd or --unix: where callers come in")
    return Settings(**{**values, "hosts": tuple(values["hosts"])})


def _socket_path(text: str) -> Path:
    scheme, _, path = text.partition(":")
    if scheme != "unix" or not path:
        raise argparse.ArgumentTypeError(f"{text!r} must be unix:PATH")
    return Path(path)
