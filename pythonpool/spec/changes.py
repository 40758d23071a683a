"""What a change of a pool does: which fields reach running workers, and which replace them.

Works on normalised specs, so that agents can ask too. Knows nothing but plain data.
"""

from typing import Any

_LIVE = (
    "replicas",
    "scaling",
    "queue",
    "perCaller",
    "timeoutSeconds",
    "onDisconnect",
    "operations",
    "results",
    "recycle",
)
_FIXED_IN_SESSIONS = ("drainSeconds", "persistence")
# The sizes in `local` are numbers of workers, as `replicas` is.
_FIXED_IN_LOCAL = ("gpu",)
_NO_LOCAL = {"gpu": "Required"}


def fixed_part(spec: dict[str, Any]) -> dict[str, Any]:
    """The part of a normalised spec that a running worker can not take over.

    Two specs with the same fixed part differ only in what ends nothing.
    """
    fixed = {name: value for name, value in spec.items() if name not in _LIVE}
    fixed["sessions"] = {name: spec["sessions"][name] for name in _FIXED_IN_SESSIONS}
    local = spec["local"] or _NO_LOCAL
    fixed["local"] = {name: local[name] for name in _FIXED_IN_LOCAL}
    return fixed
