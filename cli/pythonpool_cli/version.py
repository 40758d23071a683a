"""`version`: of this program."""

import platform
from importlib.metadata import version as installed

import click

from pythonpool_cli.output import JSON, json_line, line, output_option


@click.command()
@output_option
def version(output: str) -> None:
    """Print the version of this program."""
    own = installed("pythonpool")
    if output == JSON:
        json_line({"version": own, "python": platform.python_version()})
    else:
        line(f"pythonpool {own}")
