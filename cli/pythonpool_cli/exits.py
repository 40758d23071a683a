"""How a verb ends: exit codes of API.md section 4, and errors as one line with the next command."""

import re
from collections.abc import Mapping
from typing import Any

import click

from pythonpool.errors import PythonPoolError

DONE = 0
FAILED = 1
USAGE = 2
REFUSED = 3
TIMED_OUT = 4
NOT_ALLOWED = 5
INTERRUPTED = 130  # 128 + SIGINT
READER_GONE = 141  # 128 + SIGPIPE, as of any program whose reader has left

_BY_STATUS = {
    400: USAGE,
    401: NOT_ALLOWED,
    403: NOT_ALLOWED,
    404: USAGE,
    405: USAGE,
    408: TIMED_OUT,
    410: USAGE,
    413: USAGE,
    422: FAILED,
    429: REFUSED,
    431: USAGE,
    502: FAILED,
    503: REFUSED,
    504: TIMED_OUT,
}

_NEXT = {
    "command_not_found": "see: {prog} commands {pool}",
    "invalid_argument": "see: {prog} commands {pool}",
    "permission_denied": "ask for the right, or set PYTHONPOOL_TOKEN",
    "pool_not_found": "see: {prog} pools",
    "session_expired": "open a new one: {prog} session create {pool}",
    "session_lost": "open a new one: {prog} session create {pool}",
    "session_not_found": "see: {prog} session list",
    "timeout": "allow more time: --timeout SECONDS",
    "unauthenticated": "set PYTHONPOOL_TOKEN or PYTHONPOOL_TOKEN_FILE",
    "unavailable": "see: {prog} workers {pool}",
    "worker_not_found": "see: {prog} workers {pool}",
}
_FRAME = re.compile(r'^  File "([^"\n]+)", line (\d+)', re.MULTILINE)
_NO_CONNECTION = "start one: {prog} up FILE, or set PYTHONPOOL_URL"


class Failure(Exception):
    """A verb that ends with a line on stderr and an exit code."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.line = line
        self.exit_code = exit_code


class Verb(click.Command):
    """A verb whose typed errors end as `Failure`, with its own values in the next command."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except PythonPoolError as error:
            raise failure_of(
                error, ctx.find_root().info_name or "pythonpool", ctx.params
            ) from error


def exit_code_of(error: PythonPoolError) -> int:
    """The exit code that a typed error stands for."""
    return _BY_STATUS.get(error.status, FAILED)


def failure_of(error: PythonPoolError, prog: str, values: Mapping[str, Any]) -> Failure:
    """The error as one line: what and which value, from the router; then what to do next."""
    line = one_line(error.detail) + _place(error.exception)
    step = _next_step(error, values).format(prog=prog, pool=values.get("pool") or "POOL")
    # A detail that already ends with the way out is not given a second one.
    if step and step not in line and "see: " not in line and "retry after" not in line:
        line += f"; {step}"
    return Failure(line, exit_code_of(error))


def one_line(text: str) -> str:
    """`text` without line breaks and other runs of white space."""
    return " ".join(text.split())


def _place(exception: Mapping[str, Any] | None) -> str:
    """Where the command raised: its last frame, as ` (FILE, line N)`; or empty."""
    frames = _FRAME.findall((exception or {}).get("traceback") or "")
    return " ({}, line {})".format(*frames[-1]) if frames else ""


def _next_step(error: PythonPoolError, values: Mapping[str, Any]) -> str:
    if error.cause == "no_connection":
        return _NO_CONNECTION
    if error.cause == "connection_lost":
        return "try again" if error.outcome == "not_started" else "it may have run"
    if error.suggestion:
        return one_line(error.suggestion).replace("{", "{{").replace("}", "}}")
    if error.retry_after_ms is not None and exit_code_of(error) == REFUSED:
        return f"try again in {error.retry_after_ms / 1000:.1f} s"
    if error.code == "invalid_argument" and not error.detail.startswith(
        f"{values.get('command')}: "
    ):
        return ""  # not about a command's args
    return _NEXT.get(error.code, "")
