"""Log files of bounded size: children append to them, and what is too long moves to one `.1` file.

The supervisor calls `bound` now and then; it never reads what flows, so a noisy worker costs it
nothing.
"""

import json
import os
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
"""How long a log may grow before it is cut."""

KEPT_LOGS = 100
"""Logs of workers that are gone, kept for whoever asks why."""

TOLD_LINES = 5
"""How much of a log people are shown."""

_TAIL_BYTES = 4096


def open_log(path: Path) -> int:
    """A descriptor that appends to the log, 0600. The caller closes it."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def bound(path: Path, most_bytes: int) -> None:
    """Cut a log that is longer, its last `most_bytes` are kept in `NAME.1`.

    Its writers append, so they go on at its new beginning. On a full disk it is cut all the same,
    and what could not be kept is lost.
    """
    try:
        size = path.stat().st_size
        if size <= most_bytes:
            return
        with path.open("r+b") as log:
            try:
                _keep(log.fileno(), path.with_name(path.name + ".1"), size - most_bytes, size)
            finally:
                log.truncate(0)
    except FileNotFoundError:
        return


def _keep(log: int, kept: Path, offset: int, end: int) -> None:
    with kept.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        while offset < end and (sent := os.sendfile(file.fileno(), log, offset, 1 << 20)):
            offset += sent


def last_lines(path: Path, lines: int = TOLD_LINES) -> str:
    """The last lines that the user's own code wrote, for people; empty when there are none.

    What agent and keeper record about themselves is left out: its gist is the reason of a failure.
    """
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = log.read(_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
    written = [_written(line) for line in text.splitlines()]
    return "\n".join([line for line in written if line][-lines:])


def _written(line: str) -> str:
    """What the user's code wrote in this line of a log; empty when it is a record of ours."""
    if not line.startswith("{"):
        return line.rstrip()
    try:
        record = json.loads(line)
    except ValueError:
        return line.rstrip()
    return str(record.get("line", "")) if "event" in record else line.rstrip()


def forget_old(folder: Path, living: set[str], kept: int) -> None:
    """Remove the oldest logs of what is gone, all but the last `kept`."""
    gone = [path for path in folder.glob("*.log") if path.stem not in living]
    gone.sort(key=lambda path: path.stat().st_mtime)
    for path in gone[: max(0, len(gone) - kept)]:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".1").unlink(missing_ok=True)
