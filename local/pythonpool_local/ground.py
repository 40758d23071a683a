"""What every worker and router of one `up` stands on, and the command lines they are started by."""

import asyncio
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pythonpool_local.home import Home
from pythonpool_local.processes import Children

# -P: the working directory is no place to import from, or a user's json.py would be ours.
_PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Ground:
    """Shared by all parts of one `up`.

    Attributes:
        home: the paths.
        children: the processes.
        environment: that of `up` itself; children see a cleaned part of it.
        routers: how many routers agents dial.
        report: writes one line for people about what happened.
        chance: where jitter comes from.
    """

    home: Home
    children: Children
    environment: Mapping[str, str]
    routers: int
    report: Callable[[str], None]
    chance: random.Random = field(default_factory=random.Random)

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return asyncio.get_running_loop().time()


def keeper_command(config: Path) -> list[str]:
    """How a keeper is started."""
    return [*_PYTHON, "pythonpool_worker.keeper", "--config", str(config)]


def agent_command(ground: Ground, config: Path, secret: int, notify: int, probe: Path) -> list[str]:
    """How an agent is started; `secret` and `notify` are descriptors that it inherits."""
    links = [f"--router=unix:{ground.home.link_socket(index)}" for index in range(ground.routers)]
    return [
        *(*_PYTHON, "pythonpool_worker.agent", "--config", str(config), *links),
        *("--secret-fd", str(secret), "--notify-fd", str(notify), "--probe", f"unix:{probe}"),
    ]


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """What `up` passes on to every router.

    Attributes:
        listening: the descriptor of the shared listening socket.
        monitoring: that of the monitoring port, or None.
        hosts: further names that a `Host` header may have.
        errors: `Full` or `Message`: whether tracebacks reach callers.
    """

    listening: int
    monitoring: int | None
    hosts: tuple[str, ...]
    errors: str


def router_command(home: Home, index: int, options: RouterOptions) -> list[str]:
    """How one router is started."""
    command = [
        *(*_PYTHON, "pythonpool_router", "--pools", str(home.pools_file), "--index", str(index)),
        *("--link", f"unix:{home.link_socket(index)}", "--listen-fd", str(options.listening)),
        *("--unix", str(home.router_socket(index)), "--token-file", str(home.token_file)),
        *("--errors", options.errors),
    ]
    if options.monitoring is not None:
        command += ["--monitoring-fd", str(options.monitoring)]
    for host in options.hosts:
        command += ["--host", host]
    return command
