"""`run`: one call. The result alone on stdout, everything else on stderr."""

import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click

from pythonpool.client import Client
from pythonpool.errors import PermissionDenied
from pythonpool.http.rest import Args
from pythonpool.names import SessionHandle
from pythonpool_cli.arguments import json_object, schema_matters, split_pairs, typed_args
from pythonpool_cli.exits import USAGE, Failure, Verb
from pythonpool_cli.output import (
    TEXT,
    json_line,
    json_pages,
    notice,
    output_option,
    write,
)


@click.command(cls=Verb)
@click.argument("pool")
@click.argument("command")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "json_args", metavar="OBJECT", help="Args as a JSON object.")
@click.option(
    "--body",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file that is sent as the body, as it is; - is stdin.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Time to run.")
@click.option("--queue-timeout", type=float, metavar="SECONDS", help="Time to wait for a slot.")
@click.option("--session", metavar="ID", help="Run on this session's state.")
@click.option("--stream", is_flag=True, help="Print the events as JSON lines.")
@click.option("--async", "detached", is_flag=True, hidden=True)
@output_option
def run(
    pool: str,
    command: str,
    pairs: tuple[str, ...],
    json_args: str | None,
    body: str | None,
    timeout: float | None,
    queue_timeout: float | None,
    session: str | None,
    stream: bool,
    detached: bool,
    output: str,
) -> None:
    """Run COMMAND of POOL and print its result.

    A KEY=VALUE is text where the command's schema says string, else JSON where it parses, else
    text. A result of bytes is written raw.
    """
    if detached:
        raise Failure("--async is not built yet (later); run it without, or with --stream", USAGE)
    words = split_pairs(pairs)
    if body is not None and (words or json_args is not None):
        raise Failure("--body is the whole body; leave out KEY=VALUE and --json", USAGE)
    if session is not None:
        _check_session(session, pool)
    limits = {"timeout": timeout, "queue_timeout": queue_timeout}
    with Client() as client:
        args = _read(body) if body is not None else _args(client, pool, command, words, json_args)
        place = client.attach(session) if session is not None else None
        if stream:
            events = place.stream if place else partial(client.stream, pool)
            with closing(events(command, args, **limits)) as told:
                for event in told:
                    json_line({"event": event.kind, "id": event.id, "data": event.data})
            return
        execute = place.execute if place else partial(client.execute, pool)
        _print(execute(command, args, **limits, on_progress=_show_progress), output)


def _args(
    client: Client, pool: str, command: str, words: Mapping[str, str], json_args: str | None
) -> Args:
    if json_args is None and not words:
        return None  # an empty body: also that of a command that takes bytes
    given = {} if json_args is None else json_object(json_args, "--json")
    twice = sorted(given.keys() & words.keys())
    if twice:
        raise Failure(f'argument "{twice[0]}" is given twice, by --json too', USAGE)
    schema = _schema(client, pool, command) if schema_matters(words) else None
    return given | typed_args(words, schema)


def _schema(client: Client, pool: str, command: str) -> Mapping[str, Any] | None:
    try:
        rows = client.commands(pool)
    except PermissionDenied:
        return None  # who may run commands may not always list them; then JSON decides
    return next((row["args_schema"] for row in rows if row["name"] == command), None)


def _check_session(session: str, pool: str) -> None:
    handle = SessionHandle.parse(session)
    if handle is not None and handle.pool != pool:
        raise Failure(f'session {session} is of pool "{handle.pool}", not of "{pool}"', USAGE)


def _read(body: str) -> bytes:
    if body == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(body).read_bytes()
    except OSError as error:
        raise Failure(f"--body {body} can not be read: {error.strerror}", USAGE) from error


def _show_progress(progress: Mapping[str, Any]) -> None:
    fields = dict(progress)
    fraction = fields.pop("fraction", None)
    words = [f"{fraction:.0%}"] if isinstance(fraction, int | float) else []
    notice(" ".join(["progress", *words, *(f"{name}={value}" for name, value in fields.items())]))


def _print(result: Any, output: str) -> None:
    if isinstance(result, bytes):
        write(result)
    elif output == TEXT:
        json_pages(result)
    else:
        json_line(result)
