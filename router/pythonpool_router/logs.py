"""Log lines: JSON on stderr."""

import contextlib
import logging
import sys
from typing import Any

import structlog


def configure_logs() -> None:
    """Errors and what an operator must know; never a line for an ordinary call."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Lines(sys.stderr),
    )


class _Lines(structlog.PrintLogger):
    """Writes lines. One that a full disk does not take is lost, not the call that it is about."""

    def msg(self, message: str) -> Any:
        """Write one line, where it can be written."""
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg
