"""The environments of child processes: what they see of the one that `up` was started in."""

from collections.abc import Mapping
from typing import Any

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """PATH, HOME, LANG, LC_*, TMPDIR and TZ, and nothing else."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or name.startswith("LC_")
    }


def of_executors(environment: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, str]:
    """What the keeper and its executors see: the cleaned one and the pool's own `env`."""
    own = {entry["name"]: entry["value"] or "" for entry in spec.get("env") or ()}
    return {**cleaned(environment), **own}
