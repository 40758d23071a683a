"""What `up` tells people: lines on stdout and stderr, and one line of progress."""

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from pythonpool_local.outlet import Outlet
from pythonpool_local.output import open_log

_CLEAR = "\r\x1b[K"
_QUIET_SECONDS = 5.0
_LAST_SECONDS = 1.0


class Console:
    """One `up`'s two streams. With `as_json` stdout carries the final object alone.

    A reader that stands still (Ctrl-S on a terminal, a full pipe) never stops the pools: `flush`
    it once a second, and `close` it at the end.
    """

    def __init__(self, out: TextIO, errors: TextIO, as_json: bool) -> None:
        self._out = Outlet(out.fileno())
        self._errors = Outlet(errors.fileno())
        self._as_json = as_json
        self._had_terminal = errors.isatty()
        self._shows_progress = False
        self._last_progress = 0.0
        self._last_text = ""

    @property
    def lost_terminal(self) -> bool:
        """There was a terminal and it has hung up."""
        return self._had_terminal and not os.isatty(self._errors.descriptor)

    def say(self, line: str) -> None:
        """A line of the ordinary course."""
        self._write(self._errors if self._as_json else self._out, line)

    def warn(self, line: str) -> None:
        """A line about something that went wrong, or changed later."""
        self._write(self._errors, line)

    def ready(self, url: str, content: dict[str, Any]) -> None:
        """The last line."""
        if self._as_json:
            self._write(self._out, json.dumps(content, separators=(",", ":")))
        else:
            self._write(self._out, f"ready: {url}")

    def progress(self, text: str, now: float) -> None:
        """What is awaited: overwritten on a terminal, else a line when it is another."""
        if self._had_terminal:
            self._errors.put(f"{_CLEAR}{text}")
            self._shows_progress = True
        elif now - self._last_progress >= _QUIET_SECONDS and text != self._last_text:
            if self._last_progress:
                self._write(self._errors, text)
                self._last_text = text
            self._last_progress = now

    def to_log(self, path: Path) -> None:
        """Let go of the streams of whoever started us; what comes later goes to a log."""
        log = open_log(path)
        self.close()
        for outlet in (self._out, self._errors):
            os.dup2(log, outlet.descriptor)
        os.close(log)
        self._had_terminal = False

    def flush(self, seconds: float = 0.0) -> None:
        """Write what readers have not taken yet, within so much time each."""
        for outlet in (self._out, self._errors):
            outlet.flush(seconds)

    def close(self) -> None:
        """The last word was said: readers get a moment to take it."""
        self.flush(_LAST_SECONDS)

    def _write(self, outlet: Outlet, line: str) -> None:
        if self._shows_progress:
            self._errors.put(_CLEAR)
            self._shows_progress = False
        outlet.put(line + "\n")


def standard_console(as_json: bool) -> Console:
    """A console on this process's own streams."""
    return Console(sys.stdout, sys.stderr, as_json)
