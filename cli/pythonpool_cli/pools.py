"""`pools`: how the pools are doing."""

from collections.abc import Mapping
from typing import Any

import click

from pythonpool.client import Client
from pythonpool_cli.exits import Verb
from pythonpool_cli.output import JSON, field, json_line, output_option, table


@click.command(cls=Verb)
@output_option
def pools(output: str) -> None:
    """List the pools: workers, free and busy slots, line, sessions."""
    with Client() as client:
        rows = client.pools()
    if output == JSON:
        json_line({"items": rows})
        return
    table(
        [
            ("NAME", field("name")),
            ("ADAPTER", field("adapter")),
            ("READY", _ready),
            ("WORKERS", field("workers")),
            ("AVAILABLE", field("available")),
            ("BUSY", field("busy")),
            ("TOTAL", field("total")),
            ("QUEUED", field("queued")),
            ("SESSIONS", field("sessions")),
        ],
        rows,
    )


def _ready(row: Mapping[str, Any]) -> str:
    if row.get("ready"):
        return "yes"
    ready = [item for item in row.get("conditions") or [] if item.get("type") == "Ready"]
    return f"no ({ready[0]['reason']})" if ready and ready[0].get("reason") else "no"
