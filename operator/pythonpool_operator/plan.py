"""What a pool's objects should be, and what must be done about them: the decision alone. Pure."""

from dataclasses import dataclass

from pythonpool.errors import InvalidArgument
from pythonpool.names import API_VERSION, KIND
from pythonpool.pool import PythonPool, parse_pool
from pythonpool_operator.causes import Cause
from pythonpool_operator.kinds import (
    CHILDREN,
    CONFIG_MAP,
    MANAGER,
    POOL_LABEL,
    Json,
    Kind,
)
from pythonpool_operator.manifests import child_name, children
from pythonpool_operator.podspec import image_of
from pythonpool_operator.settings import Settings
from pythonpool_operator.workerfile import files

Objects = dict[Kind, Json]


@dataclass(frozen=True, slots=True)
class Plan:
    """The objects as they should be, in order; none, with the cause, when they can not be made."""

    wanted: tuple[tuple[Kind, Json], ...]
    trouble: Cause | None = None


def plan(
    live: Json, objects: Objects, pods: list[Json], settings: Settings, replicas: int | None = None
) -> Plan:
    """What the pool's objects should be.

    Args:
        live: the PythonPool.
        objects: those of its names that there are, ours or not.
        pods: its pods.
        replicas: how many pods there are to be at the moment; None: as many as the spec says.
    """
    try:
        pool = _read(live)
    except InvalidArgument as error:
        return Plan((), Cause("InvalidSpec", str(error), is_final=True))
    image = image_of(pool, settings)
    if image is None:
        return Plan((), _no_image(pool))
    for kind in CHILDREN:
        found = objects.get(kind)
        if found and not is_ours(found, live):
            return Plan((), _taken(kind, found))
    data = files(pool, objects.get(CONFIG_MAP), pods)
    return Plan(tuple(children(pool, image, data, settings, replicas)))


def is_ours(found: Json, pool: Json) -> bool:
    """Whether an object may be written: it is this pool's, or one that such a pool left behind."""
    meta = found["metadata"]
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            return bool(owner["uid"] == pool["metadata"]["uid"])
    labels = meta.get("labels") or {}
    name = pool["metadata"]["name"]
    return labels.get("app.kubernetes.io/managed-by") == MANAGER and labels.get(POOL_LABEL) == name


def is_leaving(found: Json, pool: Json) -> bool:
    """Whether an object goes by itself: it is being deleted, or its pool was, a namesake."""
    meta = found["metadata"]
    if "deletionTimestamp" in meta:
        return True
    mine = pool["metadata"]
    return any(
        owner.get("controller")
        and (owner["kind"], owner["name"]) == (KIND, mine["name"])
        and owner["uid"] != mine["uid"]
        for owner in meta.get("ownerReferences") or ()
    )


def names_of(pool: str) -> list[tuple[Kind, str]]:
    """The objects of a pool, by kind and name."""
    return [(kind, child_name(kind, pool)) for kind in CHILDREN]


def _read(live: Json) -> PythonPool:
    meta = live["metadata"]
    kept = {name: meta[name] for name in ("name", "namespace", "uid") if name in meta}
    return parse_pool(
        {"apiVersion": API_VERSION, "kind": KIND, "metadata": kept, "spec": live.get("spec")}
    )


def _no_image(pool: PythonPool) -> Cause:
    return Cause(
        "ImageMissing",
        f'spec.pod.image is missing, must be given for the adapter "{pool.spec.adapter}": '
        f"there is no image of the release for it",
        is_final=True,
    )


def _taken(kind: Kind, found: Json) -> Cause:
    name = found["metadata"]["name"]
    return Cause(
        "NameTaken",
        f"{kind} {name} is not of this pool and is left alone: delete it, or rename the pool",
        is_final=True,
    )
