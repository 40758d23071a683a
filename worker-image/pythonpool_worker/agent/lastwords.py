"""Why a pod's worker gave up, where the operator finds it: the container's termination message."""

import json
import logging
from pathlib import Path

_log = logging.getLogger("pythonpool.agent")

_FILE = Path("/dev/termination-log")
_MESSAGE_CHARACTERS = 1000


def with_last_line(reason: str, log: str) -> str:
    """Why, and what was printed last, unless that says the same: an exit code explains little."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines or lines[-1] in reason or reason in lines[-1]:
        return reason
    return f"{reason}; its last line: {lines[-1]}"


def last_words(reason: str, message: str) -> None:
    """Write them, if there is a kubelet that reads them; `reason` is one CamelCase word."""
    if not _FILE.exists():
        return
    said = {"reason": reason, "message": message[:_MESSAGE_CHARACTERS]}
    try:
        _FILE.write_text(json.dumps(said))
    except OSError as error:
        _log.warning("no last words: %s", error)
