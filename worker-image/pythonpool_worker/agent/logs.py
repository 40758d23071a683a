"""Log lines of an agent: one JSON object a line on stderr."""

import json
import logging
import sys
from typing import Any

from pythonpool.clock import timestamp


class _Lines(logging.Formatter):
    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": timestamp(record.created),
            "level": record.levelname.lower(),
            "part": "agent",
            "worker": self._worker,
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start_logs(worker: str) -> None:
    """From here on the log of this process goes to stderr, INFO and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
