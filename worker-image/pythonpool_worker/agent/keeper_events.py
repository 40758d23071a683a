"""What the keeper says, handed to the parts it concerns."""

import logging
import os
import stat
from collections.abc import Callable
from typing import Any

import orjson

from pythonpool_worker.agent.executors import Executors
from pythonpool_worker.agent.keeper_control import Message
from pythonpool_worker.agent.recycle import Recycling

_log = logging.getLogger("pythonpool.agent")

Catalogue = list[dict[str, Any]]

_MAX_CATALOGUE_BYTES = 8 * 2**20


class KeeperEvents:
    """Reads the keeper's messages.

    Attributes:
        memory_bytes: what the worker's executors use, by the keeper's last word.
        on_catalogue: told when the template is ready, with the rows of its commands.
        on_failure: told when template or executor can not be started: reason and output.
        on_memory: told used and limit in bytes, the limit None without one.
    """

    def __init__(
        self,
        executors: Executors,
        recycling: Recycling,
        on_catalogue: Callable[[Catalogue], None],
        on_failure: Callable[[str, str], None],
        on_memory: Callable[[int, int | None], None],
    ) -> None:
        self.memory_bytes = 0
        self._executors = executors
        self._recycling = recycling
        self._on_catalogue = on_catalogue
        self._on_failure = on_failure
        self._on_memory = on_memory
        self._by_name: dict[str, Callable[[Message], None]] = {
            "hello": self._hello,
            "failed": self._executor_failed,
            "killed": executors.killed,
            "exited": self._exited,
            "stuck": self._stuck,
            "memory": self._memory,
        }

    def message(self, message: Message, descriptor: int) -> None:
        """One message and its descriptor, -1 without one."""
        name = message.get("t")
        if name == "executor":
            self._executors.started(message, descriptor)
        elif name == "template":
            self._template(message, descriptor)
        else:
            if descriptor >= 0:
                os.close(descriptor)
            handle = self._by_name.get(str(name))
            if handle is not None:
                handle(message)

    def _hello(self, message: Message) -> None:
        _log.info("keeper %s has come", message.get("pid"))

    def _template(self, message: Message, descriptor: int) -> None:
        if message.get("state") == "ready":
            rows = message.get("catalogue")
            self._on_catalogue(_read_rows(descriptor) if rows is None else rows)
            return
        if descriptor >= 0:
            os.close(descriptor)
        self._on_failure(str(message.get("reason")), _text(message.get("log")))

    def _executor_failed(self, message: Message) -> None:
        self._executors.failed(message)
        self._on_failure(str(message.get("reason")), _text(message.get("log")))

    def _exited(self, message: Message) -> None:
        self._executors.exited(message)

    def _stuck(self, message: Message) -> None:
        _log.error("executor %s can not be killed", message.get("id"))
        self._recycling.stuck()

    def _memory(self, message: Message) -> None:
        used, limit = message["bytes"], message.get("limit_bytes")
        if not isinstance(used, int) or not isinstance(limit, int | None):
            raise TypeError("memory that is no number of bytes")
        self.memory_bytes = used
        self._recycling.memory(self.memory_bytes, limit)
        self._on_memory(self.memory_bytes, limit)


def _read_rows(descriptor: int) -> Catalogue:
    """A catalogue that was too long for a packet."""
    if descriptor < 0:
        return []
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("a catalogue that is no file")
        file.seek(0)
        text = file.read(_MAX_CATALOGUE_BYTES + 1)
    if len(text) > _MAX_CATALOGUE_BYTES:
        raise ValueError(f"a catalogue of more than {_MAX_CATALOGUE_BYTES} bytes")
    rows: Catalogue = orjson.loads(text)
    return rows


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)
