"""An adapter that writes down each time it is called, so that executions can be counted.

The tests copy it beside their manifest; `config` names the file.
"""

import os

from pythonpool import Adapter, command


class Journal(Adapter):
    """One line a call."""

    def open(self) -> None:
        """Each executor appends to the same file."""
        path = str(self.config["path"])
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @command
    def note(self, mark: str) -> str:
        """Write `mark` down and give it back."""
        os.write(self._file, mark.encode() + b"\n")
        return mark
