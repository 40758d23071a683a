"""What the agent tells its supervisor: one JSON line at a time on an inherited descriptor."""

import logging
import os
from typing import Any

import orjson

_log = logging.getLogger("pythonpool.agent")


class Notices:
    """The supervisor's ear; without a descriptor nothing is said."""

    def __init__(self, descriptor: int | None, incarnation: str) -> None:
        self._descriptor = descriptor
        self._incarnation = incarnation
        self._has_asked = False

    def state(self, state: str, reason: str | None = None, log: str | None = None) -> None:
        """`starting`, `ready`, `draining` or `failed`, with a reason and the adapter's output."""
        line: dict[str, Any] = {"state": state, "incarnation": self._incarnation}
        if reason is not None:
            line["reason"] = reason
        if log is not None:
            line["log"] = log
        self._write(line)

    def recycle(self, why: str) -> None:
        """Ask to be replaced: `calls`, `age`, `memory`, `asked` or `stuck`; once in a life."""
        if not self._has_asked:
            self._has_asked = True
            _log.info("to be replaced: %s", why)
            self._write({"recycle": why})

    def _write(self, line: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, orjson.dumps(line) + b"\n")
        except OSError as error:
            _log.warning("the supervisor does not listen: %s", error)
