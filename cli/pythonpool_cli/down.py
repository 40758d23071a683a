"""`down`: the end of the `up` of this home."""

import os

import click

from pythonpool_cli.exits import Failure, Verb
from pythonpool_cli.output import JSON, json_line, line, output_option
from pythonpool_local.ending import end_running
from pythonpool_local.home import locate
from pythonpool_local.refusal import Refusal


@click.command(cls=Verb)
@output_option
def down(output: str) -> None:
    """End the `up` of this home: running calls have 10 s to finish."""
    home = locate(os.environ)
    try:
        pid = end_running(home)
    except Refusal as refusal:
        raise Failure(refusal.line, refusal.exit_code) from refusal
    if output == JSON:
        json_line({"ended": pid is not None, "pid": pid})
    elif pid is None:
        line(f"no pythonpool up runs in {home.path}")
    else:
        line(f"ended (process {pid})")
