"""`up`: the pools of some manifests on this machine."""

import os
import re
from collections.abc import Callable

import click

from pythonpool_cli.exits import Failure, Verb
from pythonpool_cli.output import JSON, output_option
from pythonpool_local.console import standard_console
from pythonpool_local.detached import detach as run_detached
from pythonpool_local.home import locate
from pythonpool_local.refusal import Refusal
from pythonpool_local.starting import lead
from pythonpool_local.supervisor import UpOptions

_PORT = click.IntRange(0, 65535)

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


def _host_names(
    context: click.Context, option: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    for name in names:
        if not _HOST.fullmatch(name):
            raise click.BadParameter(
                f"{name!r} must be a host name without a port", context, option
            )
    return names


@click.command(cls=Verb)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--detach", is_flag=True, help="Return when ready; `down` ends it.")
@click.option(
    "--port", type=_PORT, metavar="PORT", default=8080, show_default=True, help="0: any free port."
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    callback=_host_names,
    help="Allow a further Host name.",
)
@click.option(
    "--routers",
    type=click.IntRange(1, 64),
    metavar="N",
    default=1,
    show_default=True,
    help="Router processes that share the port.",
)
@click.option(
    "--monitoring-port",
    type=_PORT,
    metavar="PORT",
    help="A port for probes and metrics without a token.",
)
@click.option(
    "--errors",
    type=click.Choice(["Full", "Message"]),
    default="Full",
    show_default=True,
    help="Message: tracebacks of commands do not reach callers.",
)
@output_option
def up(
    files: tuple[str, ...],
    detach: bool,
    port: int,
    hosts: tuple[str, ...],
    routers: int,
    monitoring_port: int | None,
    errors: str,
    output: str,
) -> int:
    """Run the pools of each FILE on this machine until Ctrl-C; SIGHUP reads the files again."""
    home = locate(os.environ)
    options = UpOptions(files, port, monitoring_port, hosts, routers, errors)
    console = standard_console(output == JSON)

    def begin(when_ready: Callable[[], None]) -> int:
        try:
            return lead(home, options, console, when_ready)
        except Refusal as refusal:
            raise Failure(refusal.line, refusal.exit_code) from refusal

    if not detach:
        return begin(lambda: None)

    def begin_apart(when_ready: Callable[[], None]) -> int:
        def let_go() -> None:
            console.to_log(home.log("up"))
            when_ready()

        return begin(let_go)

    return run_detached(begin_apart)
