"""The live objects as the watches brought them, by pool. Memory only; nothing is asked for here."""

from collections.abc import Iterator
from typing import Any

from pythonpool_operator.kinds import POD, POOL, POOL_LABEL, Json, Key, Kind

_POD_STATUS = (
    "phase",
    "reason",
    "message",
    "conditions",
    "containerStatuses",
    "initContainerStatuses",
)


class Store:
    """What is known of pools and their objects."""

    def __init__(self) -> None:
        self._pools: dict[Key, Json] = {}
        self._children: dict[Key, dict[tuple[Kind, str], Json]] = {}
        self._named: dict[tuple[Kind, str, str], Json] = {}

    def pool(self, key: Key) -> Json | None:
        """The live PythonPool."""
        return self._pools.get(key)

    def pools(self) -> list[Key]:
        """All pools."""
        return list(self._pools)

    def namespaces(self) -> set[str]:
        """Those that have pools."""
        return {key.namespace for key in self._pools}

    def child(self, key: Key, kind: Kind, name: str) -> Json | None:
        """An object by the name that one of the pool has, whatever pool its label names."""
        return self._named.get((kind, key.namespace, name))

    def pods(self, key: Key) -> list[Json]:
        """The pods of a pool."""
        return [item for (kind, _), item in self._children.get(key, {}).items() if kind is POD]

    def put(self, kind: Kind, live: Json) -> bool:
        """Take over an object of a pool; whether that is news.

        False: it belongs to no pool, or this form of it, or a newer one, is known.
        """
        key = pool_of(kind, live)
        if key is None:
            return False
        name = live["metadata"]["name"]
        known = self._pools.get(key) if kind is POOL else self.child(key, kind, name)
        if not _is_newer(live, known):
            return False
        if kind is POOL:
            self._pools[key] = trimmed(kind, live)
        else:
            kept = self._named[kind, key.namespace, name] = trimmed(kind, live)
            self._children.setdefault(key, {})[kind, name] = kept
        return True

    def remove(self, kind: Kind, live: Json) -> bool:
        """Forget an object that is gone; whether it was known. A namesake of another uid stays."""
        key = pool_of(kind, live)
        if key is None:
            return False
        return self.forget(kind, key, live["metadata"]["name"], live["metadata"]["uid"])

    def forget(self, kind: Kind, key: Key, name: str, uid: str) -> bool:
        """Forget the object of that uid; whether it was known."""
        if kind is POOL:
            if _uid(self._pools.get(key)) != uid:
                return False
            del self._pools[key]
            return True
        mine = self._children.get(key, {})
        if _uid(mine.get((kind, name))) != uid:
            return False
        del mine[kind, name]
        self._named.pop((kind, key.namespace, name), None)
        if not mine:
            del self._children[key]
        return True

    def known(self, kind: Kind) -> Iterator[tuple[Key, str, str]]:
        """Pool, name and uid of all known objects of a kind."""
        if kind is POOL:
            yield from (
                (key, key.name, live["metadata"]["uid"]) for key, live in self._pools.items()
            )
            return
        for key, mine in self._children.items():
            for (each, name), live in mine.items():
                if each is kind:
                    yield key, name, live["metadata"]["uid"]


def pool_of(kind: Kind, live: Json) -> Key | None:
    """The pool that an object says it belongs to."""
    meta = live["metadata"]
    if kind is POOL:
        return Key(meta["namespace"], meta["name"])
    name = (meta.get("labels") or {}).get(POOL_LABEL)
    return Key(meta["namespace"], name) if name else None


def trimmed(kind: Kind, live: Json) -> Json:
    """What is worth keeping; managed fields alone are half of a Deployment."""
    meta = {name: value for name, value in live["metadata"].items() if name != "managedFields"}
    if kind is not POD:
        return {**live, "metadata": meta}
    status = live.get("status") or {}
    return {
        "metadata": meta,
        "status": {name: status[name] for name in _POD_STATUS if name in status},
    }


def _is_newer(live: Json, known: Json | None) -> bool:
    if known is None or _uid(live) != _uid(known):
        return True
    return _version(live) > _version(known)


def _version(live: Json) -> int:
    text: Any = live["metadata"].get("resourceVersion", "0")
    return int(text) if str(text).isdigit() else 0


def _uid(live: Json | None) -> str:
    return str(live["metadata"]["uid"]) if live else ""
