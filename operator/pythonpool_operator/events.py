"""Kubernetes Events about a pool, for `kubectl describe`: one when something changes. Pure."""

from datetime import UTC, datetime

from pythonpool_operator.kinds import EVENT, MANAGER, POOL, Json

_NOTE_BYTES = 1000


def news(pool: Json, before: Json | None, after: Json, now: float) -> list[Json]:
    """The Events that a change of status from `before` to `after` is worth.

    Args:
        pool: the live PythonPool.
        now: seconds since 1970.
    """
    found = []
    old, new = _by_type(before), _by_type(after)
    degraded = new["Degraded"]
    if degraded["status"] == "True" and _differs(old.get("Degraded"), degraded):
        found.append(_event(pool, "Warning", degraded, now))
    ready = new["Ready"]
    if ready["status"] == "True" and old.get("Ready", {}).get("status") != "True":
        found.append(_event(pool, "Normal", ready, now))
    return found


def _by_type(status: Json | None) -> dict[str, Json]:
    return {each["type"]: each for each in (status or {}).get("conditions") or ()}


def _differs(old: Json | None, new: Json) -> bool:
    return old is None or (old["status"], old["reason"]) != (new["status"], new["reason"])


def _event(pool: Json, kind: str, condition: Json, now: float) -> Json:
    meta = pool["metadata"]
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
        },
        "eventTime": stamp,
        "type": kind,
        "reason": condition["reason"][:128],
        "action": "Reconcile",
        "note": condition["message"].encode()[:_NOTE_BYTES].decode(errors="ignore"),
        "reportingController": f"pythonpool.dev/{MANAGER}",
        "reportingInstance": MANAGER,
        "regarding": {
            "apiVersion": POOL.api_version,
            "kind": POOL.kind,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
    }
