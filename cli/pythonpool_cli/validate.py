"""`validate`: the rules of `kubectl apply` and `up`, without either."""

import click

from pythonpool.manifests import read_manifests
from pythonpool_cli.exits import Verb
from pythonpool_cli.output import JSON, json_line, line, output_option


@click.command(cls=Verb)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@output_option
def validate(files: tuple[str, ...], output: str) -> None:
    """Check the PythonPools in each FILE; all mistakes are named at once."""
    read = read_manifests(files)
    if output == JSON:
        pools = [{"name": item.name, "file": str(item.file), "line": item.line} for item in read]
        json_line({"valid": True, "pools": pools})
        return
    for item in read:
        line(f"{item.file}:{item.line}: pool {item.name} is valid")
