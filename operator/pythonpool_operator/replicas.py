"""How many pods a pool has now, and which of them goes first when it has fewer. Pure.

A worker that is to be replaced gets one pod more beside it; when that is ready, the number is
lowered again, and the old pod is the cheapest to delete. Nothing is remembered: each step follows
from what is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pythonpool_operator.kinds import Json
from pythonpool_operator.load import PoolLoad, WorkerLoad

COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"

_CHOSEN = -2
_WISHING = -1
_IDLE = WorkerLoad()
_URGENT = ("stuck", "memory", "asked")


@dataclass(frozen=True, slots=True)
class Size:
    """What the Deployment's `replicas` should be.

    Attributes:
        replicas: the number of pods.
        costs: deletion costs to be written to pods, by name, before the number is lowered.
        replacing: pods that are to be replaced.
        has_spare: one pod more than desired is no mistake: it comes, or its forerunner goes.
    """

    replicas: int
    costs: Mapping[str, int] = field(default_factory=dict)
    replacing: int = 0
    has_spare: bool = False


def size_of(
    desired: int, deployment: Json | None, pods: list[Json], load: PoolLoad, *, surges: bool
) -> Size:
    """The number of pods that a pool should have at the moment.

    Args:
        desired: of the PythonPool.
        deployment: as it is.
        pods: the pool's, as they are.
        load: what their workers do, as far as it is known.
        surges: whether a new pod may come before the old one goes.
    """
    live = _replicas(deployment)
    if deployment is None or live is None:
        return Size(desired)
    alive = [pod for pod in pods if _is_alive(pod)]
    names = {pod["metadata"]["name"] for pod in pods}
    wishes = {name: load.workers[name] for name in names if _wishes(load, name)}
    living = {pod["metadata"]["name"] for pod in alive}
    going = {name: each for name, each in wishes.items() if name in living}
    replicas, chosen = desired, ""
    if surges and desired and going and live in (desired, desired + 1):
        replicas, chosen = _step(desired, live, _is_level(deployment, alive), going)
    costs = _costs(alive, load, chosen) if replicas < live else {}
    return Size(replicas, costs, len(going) if surges else 0, surges and bool(wishes))


def _step(
    desired: int, live: int, is_level: bool, going: Mapping[str, WorkerLoad]
) -> tuple[int, str]:
    """One step of a replacement: wait, one more pod, or one fewer and which."""
    may_go = [name for name, each in going.items() if each.may_go]
    if not is_level or not may_go:
        return live, ""
    if live == desired:
        return desired + 1, ""
    return desired, min(may_go, key=lambda name: _rank(name, going[name]))


def _rank(name: str, load: WorkerLoad) -> tuple[int, int, str]:
    urgency = _URGENT.index(load.replace) if load.replace in _URGENT else len(_URGENT)
    return urgency, load.weight, name


def _costs(alive: list[Json], load: PoolLoad, chosen: str) -> dict[str, int]:
    """The costs that differ from what the pods carry; none is 0."""
    found = {}
    for pod in alive:
        meta = pod["metadata"]
        worker = load.workers.get(meta["name"], _IDLE)
        cost = worker.weight or (_WISHING if worker.replace else 0)
        if meta["name"] == chosen:
            cost = _CHOSEN
        if str(cost) != (meta.get("annotations") or {}).get(COST_ANNOTATION, "0"):
            found[meta["name"]] = cost
    return found


def _is_level(deployment: Json, alive: list[Json]) -> bool:
    """Whether every pod is there, ready, and of the newest form."""
    status = deployment.get("status") or {}
    live = deployment["spec"]["replicas"]
    generation = deployment["metadata"].get("generation", 0)
    counts = {status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")}
    return (
        status.get("observedGeneration", 0) >= generation
        and counts == {live}
        and len(alive) == live
        and all(_is_ready(pod) for pod in alive)
    )


def _replicas(deployment: Json | None) -> int | None:
    found: int | None = (deployment or {}).get("spec", {}).get("replicas")
    return found


def _wishes(load: PoolLoad, name: str) -> bool:
    return name in load.workers and bool(load.workers[name].replace)


def _is_alive(pod: Json) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return "deletionTimestamp" not in pod["metadata"] and phase not in ("Failed", "Succeeded")


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
