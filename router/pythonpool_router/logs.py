"""Log lines: one JSON object each, on stderr. Errors and what an operator must know; never a line
for an ordinary call.
"""

import contextlib
import json
import sys
import time
import traceback

from pythonpool.clock import timestamp


class Logger:
    """Writes lines; `fields` are what a line is about, in JSON's types or as their text."""

    def info(self, event: str, **fields: object) -> None:
        """What an operator may want to know."""
        _write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What an operator should look at."""
        _write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What went wrong."""
        _write("error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """What went wrong by the exception at hand; its traceback is a field."""
        _write("error", event, {**fields, "exception": traceback.format_exc().rstrip()})


def _write(level: str, event: str, fields: dict[str, object]) -> None:
    """One line. One that a full disk does not take is lost, not the call that it is about."""
    line = {**fields, "event": event, "level": level, "ts": timestamp(time.time())}
    with contextlib.suppress(OSError):
        sys.stderr.write(json.dumps(line, default=str) + "\n")
        sys.stderr.flush()
