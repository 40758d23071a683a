"""What HELLO and STATUS say."""

import logging
from typing import Any

import orjson

from pythonpool.messages import MAX_PAYLOAD, PROTOCOL_MAX, PROTOCOL_MIN, Kind, frame

_log = logging.getLogger("pythonpool.agent")

# The rest of a HELLO beside its catalogue.
_HELLO_ROOM = 4096


def hello_frame(members: dict[str, Any], catalogue: list[dict[str, Any]]) -> bytes:
    """HELLO; a catalogue that does not fit loses its schemas, then its descriptions."""
    said = {"protocol": [PROTOCOL_MIN, PROTOCOL_MAX], **members}
    payload = orjson.dumps({**said, "catalogue": fitting(catalogue)})
    return frame(Kind.HELLO, 0, payload)


def fitting(catalogue: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, made to fit into one frame beside the rest of a HELLO."""
    rows = catalogue
    for name in ("result_schema", "args_schema", "description"):
        if len(orjson.dumps(rows)) <= MAX_PAYLOAD - _HELLO_ROOM:
            break
        _log.warning("the catalogue is too long for a frame: %s is left out", name)
        rows = [{**row, name: "" if name == "description" else {}} for row in rows]
    return rows
