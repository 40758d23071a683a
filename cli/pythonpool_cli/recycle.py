"""`recycle`: one worker anew."""

import click

from pythonpool.client import Client
from pythonpool_cli.exits import Verb
from pythonpool_cli.output import JSON, json_line, line, output_option


@click.command(cls=Verb)
@click.argument("pool")
@click.argument("worker")
@output_option
def recycle(pool: str, worker: str, output: str) -> None:
    """Replace WORKER of POOL: a new one gets ready, then the old one finishes and ends."""
    with Client() as client:
        client.recycle(pool, worker)
    if output == JSON:
        json_line({"pool": pool, "worker": worker, "recycling": True})
    else:
        line(f"recycling {worker}; see: pythonpool workers {pool}")
