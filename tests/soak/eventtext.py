"""Event streams as the contract has them: ids count up from 1, one `result` or `error` is last."""

import json
from typing import Any


class Malformed(Exception):
    """A stream that no caller could rely on."""


def last_event(text: bytes) -> tuple[str, Any]:
    """The name and the data of the event that ends a whole stream.

    Raises:
        Malformed: ids that do not count up, no end, more than one, or something behind it.
    """
    names: list[str] = []
    data: Any = None
    for block in text.decode().split("\n\n"):
        fields = dict(_field(line) for line in block.splitlines() if not line.startswith(":"))
        if not fields:
            continue
        names.append(fields.get("event", "message"))
        if fields.get("id") != str(len(names)):
            raise Malformed(f"event {len(names)} has the id {fields.get('id')}")
        data = json.loads(fields["data"])
    ends = [at for at, name in enumerate(names) if name in ("result", "error")]
    if not names or ends != [len(names) - 1]:
        raise Malformed(f"events {names}")
    return names[-1], data


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")
