"""What an agent says to its supervisor: JSON objects, one a line, on a pipe."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

_MAX_LINE = 64 * 1024


class NotifyPipe:
    """The reading end of a notify pipe. `heard` gets each object; what is no object is dropped."""

    def __init__(self, heard: Callable[[dict[str, Any]], None]) -> None:
        self._heard = heard
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._rest = b""
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def give_away(self) -> None:
        """Close our copy of the writing end, once the agent has its own."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def close(self) -> None:
        """Read what is left and stop; safe to call twice."""
        if self._reading >= 0:
            self._read()
        if self._reading >= 0:
            asyncio.get_running_loop().remove_reader(self._reading)
            os.close(self._reading)
            self._reading = -1
        self.give_away()

    def _read(self) -> None:
        try:
            data = os.read(self._reading, _MAX_LINE)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._reading)
            return
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_MAX_LINE]
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                self._heard(message)


def secret_pipe(secret: str) -> int:
    """A descriptor from which `secret` can be read once. The caller closes it."""
    reading, writing = os.pipe()
    os.write(writing, secret.encode())
    os.close(writing)
    return reading
