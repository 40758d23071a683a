"""How many pods there are now, which go first, and what is heard of their load: pure."""

from typing import Any

import pytest

from pythonpool_operator.causes import too_old
from pythonpool_operator.conditions import count_workers, status_of
from pythonpool_operator.load import Loads, PoolLoad, WorkerLoad, changed, merged, read_load
from pythonpool_operator.replicas import COST_ANNOTATION, Size, size_of

Json = dict[str, Any]

POOL: Json = {"metadata": {"name": "shop", "namespace": "here", "uid": "u", "generation": 1}}


def pod(name: str, *, ready: bool = True, cost: str | None = None, leaving: bool = False) -> Json:
    meta: Json = {"name": name}
    if cost is not None:
        meta["annotations"] = {COST_ANNOTATION: cost}
    if leaving:
        meta["deletionTimestamp"] = "now"
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"metadata": meta, "status": {"phase": "Running", "conditions": [condition]}}


def deployment(replicas: int, /, **status: Any) -> Json:
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), replicas)
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 3, **counts, **status},
    }


def load(**workers: Any) -> PoolLoad:
    """Workers by name: `(busy, sessions, replace)`."""
    return PoolLoad({name: WorkerLoad(*told) for name, told in workers.items()})


def size(desired: int, live: Json, pods: list[Json], known: PoolLoad, surges: bool = True) -> Size:
    return size_of(desired, live, pods, known, surges=surges)


THREE = [pod("a"), pod("b"), pod("c")]
AGED = load(a=(1, 0, ""), b=(0, 0, "age"), c=(0, 2, ""))


def test_without_wishes_the_number_is_that_of_the_spec() -> None:
    assert size_of(3, None, [], PoolLoad(), surges=True) == Size(3)
    assert size(3, deployment(3), THREE, load()) == Size(3)
    assert size(5, deployment(3), THREE, load()) == Size(5)
    assert size(0, deployment(1), [pod("b")], AGED).replicas == 0


def test_idle_pods_go_first_and_only_what_differs_is_written() -> None:
    pods = [pod("a"), pod("b"), pod("c", cost="2"), pod("d", cost="7")]
    known = load(a=(1, 2, ""), b=(0, 0, ""), c=(0, 2, ""))

    found = size(2, deployment(4), pods, known)

    assert found == Size(2, {"a": 3, "d": 0})


def test_nothing_is_written_while_the_number_stays_or_grows() -> None:
    pods = [pod("a"), pod("b", cost="9")]

    for desired in (2, 3):
        assert size(desired, deployment(2), pods, load(a=(1, 0, ""))).costs == {}


def test_one_more_comes_before_one_goes() -> None:
    found = size(3, deployment(3), THREE, AGED)

    assert (found.replicas, found.costs, found.replacing) == (4, {}, 1)


@pytest.mark.parametrize(
    "pods", [THREE, [*THREE, pod("new", ready=False)]], ids=["not there", "not ready"]
)
def test_it_is_waited_for(pods: list[Json]) -> None:
    live = deployment(4, replicas=len(pods), readyReplicas=3)

    assert size(3, live, pods, AGED).replicas == 4


def test_when_it_is_ready_the_old_one_goes_and_no_other() -> None:
    pods = [*THREE, pod("new")]

    found = size(3, deployment(4), pods, AGED)

    assert found.replicas == 3
    assert found.costs == {"a": 1, "b": -2, "c": 2}


def test_while_it_goes_nothing_is_begun() -> None:
    pods = [*THREE, pod("new")]
    unseen = deployment(3, observedGeneration=2, replicas=4, readyReplicas=4, updatedReplicas=4)
    seen = deployment(3, replicas=4, readyReplicas=4, updatedReplicas=4)
    leaving = [pod("a"), pod("b", leaving=True), pod("c"), pod("new")]

    assert size(3, unseen, pods, AGED).replicas == 3
    assert size(3, seen, pods, AGED).replicas == 3
    done = size(3, deployment(3), leaving, AGED)
    assert (done.replicas, done.replacing, done.has_spare) == (3, 0, True)


def test_two_are_replaced_one_after_the_other_the_urgent_first() -> None:
    wishes = load(a=(0, 0, "age"), b=(3, 1, "memory"), c=(0, 0, ""))

    found = size(3, deployment(4), [*THREE, pod("new")], wishes)

    assert min(found.costs, key=lambda name: found.costs[name]) == "b"
    leaving = [pod("a"), pod("b", leaving=True), pod("c"), pod("new")]
    assert size(3, deployment(3), leaving, wishes).replicas == 4


def test_by_age_and_calls_it_waits_for_the_sessions_end() -> None:
    """Also for those that were opened while the new pod started."""
    held = load(a=(0, 0, ""), b=(0, 1, "age"), c=(0, 0, ""))

    assert size(3, deployment(3), THREE, held).replicas == 3
    assert size(3, deployment(4), [*THREE, pod("new")], held).replicas == 4
    asked = load(b=(0, 1, "asked"))
    assert size(3, deployment(3), THREE, asked).replicas == 4


def test_a_wish_that_is_gone_gives_the_spare_pod_back() -> None:
    found = size(3, deployment(4), [*THREE, pod("new")], load(a=(1, 0, "")))

    assert (found.replicas, found.costs) == (3, {"a": 1})


def test_a_rollout_or_a_broken_pod_is_not_disturbed() -> None:
    assert size(3, deployment(3, updatedReplicas=1), THREE, AGED).replicas == 3
    broken = [pod("a", ready=False), pod("b"), pod("c")]
    assert size(3, deployment(3, readyReplicas=2), broken, AGED).replicas == 3


def test_who_scales_meanwhile_is_obeyed() -> None:
    pods = [*THREE, pod("new")]

    assert size(6, deployment(4), pods, AGED).replicas == 6
    assert size(2, deployment(4), pods, AGED).replicas == 2
    assert size(4, deployment(4), pods, AGED).replicas == 5, "the spare one has become one of four"


def test_pools_with_gpus_keep_their_number() -> None:
    found = size(3, deployment(3), THREE, AGED, surges=False)

    assert found == Size(3)


def test_the_spare_pod_is_not_counted() -> None:
    """Whoever scales by the pool's status must not see one more come and go."""
    live = deployment(4, readyReplicas=4)

    counted = count_workers(3, live, Size(4, replacing=1, has_spare=True))

    assert (counted.total, counted.ready) == (3, 3)
    assert count_workers(3, live).total == 4
    conditions = status_of(POOL, counted, None, "now")["conditions"]
    progressing = next(each for each in conditions if each["type"] == "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "Recycling")


def router(*workers: Json, refused: tuple[Json, ...] = ()) -> Json:
    pools = [{"name": "shop", "workers": list(workers), "refused": list(refused)}]
    return {"router": "r", "protocol": [2, 3], "pools": pools}


def worker(name: str, busy: int = 0, sessions: int = 0, replace: str = "") -> Json:
    told = {"busy": busy, "sessions": sessions, "replace": replace, "protocol": 2}
    return {"name": name, "draining": False, **told}


OLD: Json = {"name": "b", "protocol": [1, 1]}


def loads(*answers: Json) -> Loads:
    return merged(read_load(answer) for answer in answers)


def test_of_two_routers_the_busier_word_counts() -> None:
    found = loads(
        router(worker("a", 2, 0), refused=(OLD,)), router(worker("a", 1, 3, "age"), worker("c"))
    )

    assert found["shop"].workers == {
        "a": WorkerLoad(2, 3, "age", 2),
        "c": WorkerLoad(protocol=2),
    }
    assert found["shop"].refused == {"b": (1, 1)}
    understood = loads(router(worker("b")), router(refused=(OLD,)))
    assert understood["shop"].refused == {}, "one router that understands it is enough"


@pytest.mark.parametrize("answer", [{}, {"pools": [{}], "protocol": [1, 1]}, router({"name": "a"})])
def test_what_is_no_load_is_refused(answer: Json) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_load(answer)


def test_what_a_router_counts_fits_into_a_deletion_cost() -> None:
    found = loads(router(worker("a", 10**20, 10**20), worker("b", -1)))["shop"].workers

    assert 0 < found["a"].weight < 2**31
    assert found["b"].weight == 0


def test_only_wishes_and_strangers_are_news() -> None:
    before = loads(router(worker("a", sessions=1, replace="age")))

    assert changed(before, loads(router(worker("a", 5, 2, "age"), worker("c", 1)))) == []
    assert changed(before, loads(router(worker("a", replace="age")))) == ["shop"]
    assert changed(before, {}) == ["shop"]
    assert changed({}, loads(router(refused=(OLD,)))) == ["shop"]


def test_workers_that_are_too_old_are_named() -> None:
    known = PoolLoad({}, {"b": (1, 1), "gone": (0, 0)}, (2, 3))

    found = too_old([pod("a"), pod("b"), pod("gone", leaving=True)], known)

    assert found.count == 1
    assert found.cause is not None
    assert found.cause.reason == "WorkerTooOld"
    assert found.cause.message.startswith(
        "1 of 2 workers speak version 1 of the link, the routers 2 to 3: "
    )
    counted = count_workers(2, deployment(2), None, found.count)
    status = status_of(POOL, counted, found.cause, "now")
    shown = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert shown["Ready"] == ("True", "WorkersReady")
    assert shown["Degraded"] == ("True", "WorkerTooOld")
    assert too_old([pod("a")], known).cause is None
