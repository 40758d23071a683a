"""The commands that the benchmark calls; PRELOAD names a module that the template imports."""

import importlib
import os
import time
from collections.abc import Iterator
from typing import Any

from pythonpool.adapter import Adapter, command


class Workbench(Adapter):
    """As little as can be: what is measured is everything else."""

    def start(self) -> None:
        """Import what forks are to share."""
        if module := os.environ.get("PRELOAD"):
            importlib.import_module(module)

    @command
    def echo(self, **args: Any) -> Any:
        """The args, as they arrived."""
        return args

    @command
    def pid(self) -> int:
        """Which process answers."""
        return os.getpid()

    @command
    def chunks(self, count: int) -> Iterator[int]:
        """So many values, one after the other."""
        yield from range(count)

    @command
    def rest(self, seconds: float) -> None:
        """Takes its time, and no CPU."""
        time.sleep(seconds)

    @command
    def burn(self, seconds: float) -> None:
        """Takes its time, all of it on the CPU."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            pass

    @command
    def spin(self) -> None:
        """Never ends by itself."""
        while True:
            time.sleep(3600)
