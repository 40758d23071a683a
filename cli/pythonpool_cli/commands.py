"""`commands`: what a pool offers."""

from collections.abc import Mapping
from typing import Any

import click

from pythonpool.client import Client
from pythonpool_cli.exits import Verb
from pythonpool_cli.output import JSON, field, json_line, output_option, table


@click.command(cls=Verb)
@click.argument("pool")
@output_option
def commands(pool: str, output: str) -> None:
    """List the commands of POOL; an argument in brackets may be left out."""
    with Client() as client:
        rows = client.commands(pool)
    if output == JSON:
        json_line({"items": rows})
        return
    table(
        [
            ("NAME", field("name")),
            ("ARGS", _args),
            ("TIMEOUT", field("timeout_seconds")),
            ("IDEMPOTENT", field("idempotent")),
            ("STREAMING", field("streaming")),
            ("DESCRIPTION", _first_line),
        ],
        rows,
    )


def _args(row: Mapping[str, Any]) -> str:
    schema = row.get("args_schema") or {}
    required = schema.get("required") or []
    names = schema.get("properties") or {}
    return " ".join(name if name in required else f"[{name}]" for name in names) or "-"


def _first_line(row: Mapping[str, Any]) -> str:
    return (row.get("description") or "").strip().partition("\n")[0]
