"""The command line: finds the verb, loads it alone, and turns every end into an exit code."""

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click

from pythonpool.errors import PythonPoolError
from pythonpool_cli.exits import DONE, FAILED, INTERRUPTED, Failure, failure_of, one_line


class Entry(NamedTuple):
    """Where a verb lives, `module:attribute`, and what the overview says about it."""

    home: str
    summary: str


VERBS = {
    "up": Entry("pythonpool_cli.up:up", "Run pools on this machine until Ctrl-C."),
    "down": Entry("pythonpool_cli.down:down", "End the `up` of this home."),
    "run": Entry("pythonpool_cli.run:run", "Run one command and print its result."),
    "session": Entry("pythonpool_cli.session:session", "Create, show, list and delete sessions."),
    "pools": Entry("pythonpool_cli.pools:pools", "List the pools."),
    "commands": Entry("pythonpool_cli.commands:commands", "List the commands of a pool."),
    "workers": Entry("pythonpool_cli.workers:workers", "List the workers of a pool."),
    "recycle": Entry("pythonpool_cli.recycle:recycle", "Replace a worker, then drain it."),
    "validate": Entry("pythonpool_cli.validate:validate", "Check manifests without running them."),
    "crd": Entry("pythonpool_cli.crd:crd", "Print the CustomResourceDefinition."),
    "version": Entry("pythonpool_cli.version:version", "Print the version."),
}
_WHERE = """\b
PYTHONPOOL_HOME   where `up` keeps token, sockets and logs; ~/.local/state/pythonpool
PYTHONPOOL_URL    the router that is asked; that of the running `up`
PYTHONPOOL_TOKEN  or PYTHONPOOL_TOKEN_FILE: what is shown to it; that of the home
"""
LATER = {
    "top": "see: {prog} pools",
    "explain": "see: {prog} run --help",
    "doctor": "see: {prog} pools",
    "init": "see: examples/pools.yaml",
}


class Verbs(click.Group):
    """The verbs by name; a verb's module is imported when that verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the overview."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, loaded now."""
        entry = VERBS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.home.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, not of a user
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that was typed, or an error that names the nearest one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(_unknown_verb(args[0], ctx.info_name or "pythonpool"), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, without loading a verb."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, entry.summary) for name, entry in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_WHERE)
@click.version_option(package_name="pythonpool", message="%(prog)s %(version)s")
def verbs() -> None:
    """Pools of warm Python workers, on this machine and in a cluster."""


def run_verb(argv: Sequence[str], prog: str) -> int:
    """Run one verb and return its exit code; errors are one line on stderr."""
    try:
        ended = verbs.main(args=list(argv), prog_name=prog, standalone_mode=False)
        return ended if isinstance(ended, int) else DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        return _said(_usage_line(error, prog), error.exit_code)
    except click.ClickException as error:
        return _said(error.format_message(), error.exit_code)
    except Failure as failure:
        return _said(failure.line, failure.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _said("cancelled", INTERRUPTED)
    except PythonPoolError as error:
        ending = failure_of(error, prog, {})
        return _said(ending.line, ending.exit_code)
    except Exception as error:  # noqa: BLE001 - the edge: people get a line, and a way to the rest
        if os.environ.get("PYTHONPOOL_TRACEBACK"):
            traceback.print_exc()
        what = one_line(f"{type(error).__name__}: {error}")
        return _said(f"a defect of pythonpool's own: {what}; PYTHONPOOL_TRACEBACK=1 shows", FAILED)


def main() -> int:
    """Run the verb that was typed; the exit code."""
    _open_closed_streams()
    prog = Path(sys.argv[0]).name.replace("kubectl-pythonpool", "kubectl pythonpool")
    if prog.startswith("__main__"):
        prog = "pythonpool"
    return run_verb(sys.argv[1:], prog)


def _open_closed_streams() -> None:
    """What the shell closed (`>&-`) becomes /dev/null; else a socket would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - to the end


def _said(line: str, code: int) -> int:
    print(f"pythonpool: {one_line(line)}", file=sys.stderr, flush=True)
    return code


def _usage_line(error: click.UsageError, prog: str) -> str:
    line = error.format_message().rstrip(".")
    path = error.ctx.command_path if error.ctx else prog
    return line if "; " in line else f"{line}; see: {path} --help"


def _unknown_verb(name: str, prog: str) -> str:
    if name in LATER:
        return f'verb "{name}" is not built yet (later); ' + LATER[name].format(prog=prog)
    near = difflib.get_close_matches(name, VERBS, n=1, cutoff=0.5)
    hint = f"did you mean: {prog} {near[0]}" if near else f"see: {prog} --help"
    return f'no verb "{name}"; {hint}'
