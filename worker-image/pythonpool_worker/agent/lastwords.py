"""Why a pod's worker gave up, where the operator finds it: the container's termination message."""

import json
import logging
from pathlib import Path

_log = logging.getLogger("pythonpool.agent")

_FILE = Path("/dev/termination-log")
_MESSAGE_CHARACTERS = 1000


def last_words(reason: str, message: str) -> None:
    """Write them, if there is a kubelet that reads them; `reason` is one CamelCase word."""
    if not _FILE.exists():
        return
    said = {"reason": reason, "message": message[:_MESSAGE_CHARACTERS]}
    try:
        _FILE.write_text(json.dumps(said))
    except OSError as error:
        _log.warning("no last words: %s", error)
