"""`workers`: the workers of a pool."""

from collections.abc import Mapping
from typing import Any

import click

from pythonpool.client import Client
from pythonpool_cli.exits import Verb
from pythonpool_cli.output import JSON, field, json_line, output_option, table


@click.command(cls=Verb)
@click.argument("pool")
@output_option
def workers(pool: str, output: str) -> None:
    """List the workers of POOL."""
    with Client() as client:
        rows = client.workers(pool)
    if output == JSON:
        json_line({"items": rows})
        return
    table(
        [
            ("NAME", field("name")),
            ("STATE", field("state")),
            ("SLOTS", field("slots")),
            ("BUSY", field("busy")),
            ("SESSIONS", field("sessions")),
            ("MEMORY", _memory),
            ("CALLS", field("calls")),
            ("STARTED", field("started_at")),
            ("PID", field("pid")),
        ],
        rows,
    )


def _memory(row: Mapping[str, Any]) -> str | None:
    memory_bytes = row.get("memory_bytes")
    return None if memory_bytes is None else f"{memory_bytes / 2**20:.0f}Mi"
