"""The ConfigMap that tells workers which authorities sign routers' certificates. Pure.

Some pools of the namespace own it, so that it goes with the last one; it says since when it has
been as it is.
"""

from pythonpool import __version__ as version
from pythonpool_operator.compare import fingerprint
from pythonpool_operator.kinds import (
    CONFIG_MAP,
    FINGERPRINT_ANNOTATION,
    MANAGER,
    POOL,
    POOL_LABEL,
    SINCE_ANNOTATION,
    Json,
)

FILE = "ca.crt"
_COMPONENT = "links"
# Kubernetes deletes it when all owners are gone: more than one, so that pools may go by the way.
OWNERS = 3


def is_ours(live: Json) -> bool:
    """Whether a ConfigMap of that name may be written."""
    labels = live["metadata"].get("labels") or {}
    said = (labels.get("app.kubernetes.io/managed-by"), labels.get("app.kubernetes.io/component"))
    return said == (MANAGER, _COMPONENT)


def text_of(live: Json | None) -> str:
    """The authorities that workers read there, as PEM."""
    return str(((live or {}).get("data") or {}).get(FILE, ""))


def published_at(live: Json | None, text: str) -> float | None:
    """Since when it has had exactly this text, in seconds since 1970; None: it has not."""
    if live is None or text_of(live) != text:
        return None
    try:
        return float((live["metadata"].get("annotations") or {})[SINCE_ANNOTATION])
    except (KeyError, ValueError):
        return None


def owners_of(live: Json | None, pools: list[Json]) -> list[Json]:
    """The pools that own it: those that do already, and then by name.

    Args:
        pools: all of the namespace, live; one that is being deleted is passed over.
    """
    staying = [pool for pool in pools if "deletionTimestamp" not in pool["metadata"]]
    references = (live["metadata"].get("ownerReferences") or ()) if live else ()
    known = {each["uid"] for each in references}
    staying.sort(key=lambda pool: (pool["metadata"]["uid"] not in known, pool["metadata"]["name"]))
    return staying[:OWNERS]


def manifest(namespace: str, name: str, text: str, owners: list[Json], since: float) -> Json:
    """The ConfigMap as it should be."""
    made: Json = {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "pythonpool",
                "app.kubernetes.io/component": _COMPONENT,
                "app.kubernetes.io/managed-by": MANAGER,
                "app.kubernetes.io/version": version,
                # Of no single pool, and watched with all that is of one.
                POOL_LABEL: "",
            },
            "ownerReferences": [_owner(pool) for pool in owners],
        },
        "data": {FILE: text},
    }
    annotations = {FINGERPRINT_ANNOTATION: fingerprint(made), SINCE_ANNOTATION: f"{since:.0f}"}
    made["metadata"]["annotations"] = annotations
    return made


def _owner(pool: Json) -> Json:
    meta = pool["metadata"]
    about = {"apiVersion": POOL.api_version, "kind": POOL.kind}
    return about | {"name": meta["name"], "uid": meta["uid"]}
