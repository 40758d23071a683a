"""What goes to stdout, and how: results, JSON, plain tables. The one place that writes there."""

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from pythonpool_cli.exits import FAILED, READER_GONE, Failure

TEXT = "text"
JSON = "json"

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice([TEXT, JSON]),
    default=TEXT,
    show_default=True,
    help="How to print.",
)

Column = tuple[str, Callable[[Mapping[str, Any]], object]]


def write(data: bytes) -> None:
    """Write to stdout at once. A reader that has left ends the program, without a word.

    Raises:
        Failure: it can not be written, as where the disk is full.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still buffered would raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(READER_GONE) from None
        raise Failure(f"the output can not be written: {error.strerror}", FAILED) from error


def line(text: str) -> None:
    """Write one line."""
    write(text.encode(errors="backslashreplace") + b"\n")


def json_line(value: object) -> None:
    """Write a value as one line of JSON; bytes inside it as `{"$bytes": BASE64}`."""
    line(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_not_json))


def json_pages(value: object) -> None:
    """Write a value as JSON for people to read."""
    line(json.dumps(value, ensure_ascii=False, indent=2, default=_not_json))


def notice(text: str) -> None:
    """Write one line to stderr."""
    print(text, file=sys.stderr, flush=True)


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under headings, in columns as wide as their widest cell."""
    cells = [[heading for heading, _ in columns]]
    cells += [[_cell(value(row)) for _, value in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line("  ".join(map(str.ljust, row, widths)).rstrip())


def field(name: str) -> Callable[[Mapping[str, Any]], object]:
    """A column that shows a member of the row as it is."""
    return lambda row: row.get(name)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(str(value).split())


def _not_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} is not JSON")
