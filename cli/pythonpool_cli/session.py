"""`session create|show|list|delete`."""

import click

from pythonpool.client import Client
from pythonpool_cli.arguments import json_object
from pythonpool_cli.exits import Verb
from pythonpool_cli.output import (
    JSON,
    Column,
    field,
    json_line,
    json_pages,
    line,
    notice,
    output_option,
    table,
)

_COLUMNS: list[Column] = [
    ("ID", field("session_id")),
    ("POOL", field("pool")),
    ("WORKER", field("worker")),
    ("CREATED", field("created_at")),
    ("EXPIRES", field("expires_at")),
    ("DRAINING", field("draining")),
]


@click.group()
def session() -> None:
    """Sessions: state that lives on one worker."""


@session.command(cls=Verb)
@click.argument("pool")
@click.option("--ttl", "ttl_seconds", type=int, metavar="SECONDS", help="Life after the last call.")
@click.option("--context", metavar="OBJECT", help="A JSON object that the adapter sees.")
@output_option
def create(pool: str, ttl_seconds: int | None, context: str | None, output: str) -> None:
    """Open a session in POOL and print its id."""
    said = None if context is None else json_object(context, "--context")
    with Client() as client:
        made = client.create_session(pool, ttl_seconds, said)
    if output == JSON:
        json_line(made.details)
    else:
        line(made.id)


@session.command(cls=Verb)
@click.argument("session_id", metavar="ID")
@output_option
def show(session_id: str, output: str) -> None:
    """Print the session ID; its life is not prolonged."""
    with Client() as client:
        details = client.attach(session_id).show()
    if output == JSON:
        json_line(details)
    else:
        json_pages(details)


@session.command("list", cls=Verb)
@click.argument("pool", required=False)
@output_option
def list_sessions(pool: str | None, output: str) -> None:
    """List your own sessions, of POOL or of all pools."""
    with Client() as client:
        found = client.sessions(pool)
    if output == JSON:
        json_line(found)
        return
    table(_COLUMNS, found["items"])
    if found.get("incomplete"):
        notice("pythonpool: the list is incomplete: a worker did not answer within a second")


@session.command(cls=Verb)
@click.argument("session_id", metavar="ID")
@output_option
def delete(session_id: str, output: str) -> None:
    """End the session ID; a running call of it is cancelled."""
    with Client() as client:
        client.attach(session_id).delete()
    if output == JSON:
        json_line({"session_id": session_id, "deleted": True})
    else:
        line(f"deleted {session_id}")
