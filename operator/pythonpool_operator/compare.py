"""Whether a live object already is as desired, so that an idle operator writes nothing.

Pure. What others own in the live object (defaults, foreign fields, foreign list items) is passed
over; only what the desired manifest names is compared.
"""

import hashlib
import json
from typing import Any

# How items of lists are told apart, as server-side apply does; the first that fits is used.
_ITEM_KEYS = ("uid", "name", "mountPath", "containerPort", "key", "type")


def is_level(desired: Any, live: Any) -> bool:
    """Whether `live` carries all that `desired` names, with the same values."""
    return bool(project(desired, live) == desired)


def project(desired: Any, live: Any) -> Any:
    """The values of `live` at the places that `desired` names; None where there is none."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return {key: project(value, live.get(key)) for key, value in desired.items()}
    if isinstance(desired, list) and isinstance(live, list):
        return _project_list(desired, live)
    # An API server leaves out what is empty.
    if live is None and desired in ({}, [], "", False):
        return desired
    return live


def fingerprint(value: Any) -> str:
    """16 hex digits that stand for plain data; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def _project_list(desired: list[Any], live: list[Any]) -> list[Any]:
    key = _item_key(desired)
    if not key:
        if len(desired) != len(live):
            return live
        return [project(ours, theirs) for ours, theirs in zip(desired, live, strict=True)]
    found = {item[key]: item for item in live if isinstance(item, dict) and key in item}
    return [project(item, found.get(item[key])) for item in desired]


def _item_key(items: list[Any]) -> str:
    """The key by which all items of a list differ; empty when there is none."""
    if not items or not all(isinstance(item, dict) for item in items):
        return ""
    for key in _ITEM_KEYS:
        seen = [item[key] for item in items if isinstance(item.get(key), str | int)]
        if len(seen) == len(items) == len(set(seen)):
            return key
    return ""
