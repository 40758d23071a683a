"""The commands that the benchmark calls; PRELOAD names a module that the template imports."""

import importlib
import os
import time
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
    def spin(self) -> None:
        """Never ends by itself."""
        while True:
            time.sleep(3600)
