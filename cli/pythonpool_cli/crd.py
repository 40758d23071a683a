"""`crd`: what a cluster has to know about PythonPools."""

import click

from pythonpool import crd as definition
from pythonpool_cli.output import JSON, json_line, output_option, write


@click.command()
@output_option
def crd(output: str) -> None:
    """Print the CustomResourceDefinition, for `kubectl apply --server-side -f -`."""
    if output == JSON:
        json_line(definition.crd())
    else:
        write(definition.crd_yaml().encode())
