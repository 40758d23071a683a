"""What pods and pools of the API server mean to a router."""

from typing import Any

import pytest
from cluster_house import pod_object, pool_object, router_pod

from pythonpool_router.cluster.deaths import Deaths
from pythonpool_router.cluster.listing import listed_pools, read_pool
from pythonpool_router.cluster.pods import Death, Pod, read_pod
from pythonpool_router.pools import ANY_LIFE

Json = dict[str, Any]

NOT_READY = [{"type": "Ready", "status": "False"}]


def pod(**status: Any) -> Pod:
    return read_pod(pod_object("general-1", "general", **status))


def container(name: str, **states: Any) -> Json:
    return {"name": name, "state": {}, "lastState": {}, **states}


def disrupted(reason: str, status: str = "True") -> list[Json]:
    return [{"type": "DisruptionTarget", "status": status, "reason": reason, "message": "so"}]


def oom(when: str, at: str = "lastState") -> Json:
    ended = {"terminated": {"reason": "OOMKilled", "finishedAt": when}}
    return {"initContainerStatuses": [container("executors", **{at: ended})]}


LOOPING = container("agent", state={"waiting": {"reason": "CrashLoopBackOff"}})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, "ready"),
        ({"conditions": NOT_READY}, "starting"),
        ({"conditions": []}, "starting"),
        ({"conditions": NOT_READY, "containerStatuses": [LOOPING]}, "failed"),
        ({"phase": "Failed"}, "gone"),
        ({"phase": "Succeeded"}, "gone"),
    ],
)
def test_states(status: Json, state: str) -> None:
    assert pod(**status).state == state


def test_a_pod_that_is_being_deleted_drains() -> None:
    live = pod_object("general-1", "general")
    live["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert read_pod(live).state == "draining"


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ({}, None),
        ({"reason": "Evicted"}, "evicted"),
        ({"reason": "NodeLost"}, "node_lost"),
        ({"reason": "Terminated"}, "preempted"),
        ({"conditions": disrupted("PreemptionByScheduler")}, "preempted"),
        ({"conditions": disrupted("DeletionByTaintManager")}, "node_lost"),
        ({"conditions": disrupted("DeletionByPodGC")}, "node_lost"),
        ({"conditions": disrupted("EvictionByEvictionAPI")}, "evicted"),
        ({"conditions": disrupted("TerminationByKubelet")}, "evicted"),
        ({"conditions": disrupted("PreemptionByScheduler", "False")}, None),
        ({"conditions": disrupted("SomethingNew")}, None),
        (oom("12:00"), "container"),
        (oom("12:00", at="state"), "container"),
        (
            {
                "containerStatuses": [
                    container("agent", lastState={"terminated": {"reason": "Error"}})
                ]
            },
            None,
        ),
    ],
)
def test_why_it_died(status: Json, cause: str | None) -> None:
    death = pod(**status).death
    assert (death and death.cause) == cause


def test_errors_of_deaths() -> None:
    death = pod(**oom("12:00")).death
    assert death is not None
    error = death.error("general-1")
    assert (error.code, error.cause, error.worker) == ("out_of_memory", "container", "general-1")
    assert error.limit_bytes == 512 * 2**20
    evicted = Death("evicted", "evicted", is_of_pod=True, message="low on memory").error(
        "general-1"
    )
    assert (evicted.code, evicted.cause) == ("worker_crashed", "evicted")
    assert "low on memory" in evicted.detail


class TestDeaths:
    """Which death explains a call that ended at a time."""

    def setup_method(self) -> None:
        self.now = 0.0
        self.new: list[str] = []
        self.deaths = Deaths(lambda: self.now)
        self.deaths.on_new = lambda pod, death: self.new.append(death.cause)

    def cause(self, when: float) -> str | None:
        death = self.deaths.of("general-1", when)
        return death.cause if death is not None else None

    def test_news_that_come_after_the_end(self) -> None:
        self.now = 11.0
        self.deaths.look(pod(**oom("12:00")))
        assert self.cause(10.0) == "container"

    def test_an_old_end_of_a_container_explains_nothing(self) -> None:
        """It stays in the pod's lastState for ever."""
        self.deaths.look(pod(**oom("12:00")))
        self.now = 100.0
        self.deaths.look(pod(**oom("12:00")))
        assert self.cause(100.0) is None
        self.deaths.look(pod(**oom("12:01")))
        assert self.cause(100.0) == "container"
        assert self.new == ["container", "container"]

    def test_an_end_of_the_pod_explains_all_that_follows(self) -> None:
        self.deaths.look(pod(reason="Evicted"))
        assert self.cause(100.0) == "evicted"

    def test_the_oldest_is_forgotten(self) -> None:
        for number in range(1200):
            live = pod_object(f"general-{number}", "general", reason="Evicted")
            self.deaths.look(read_pod(live))
        assert self.deaths.of("general-0", 0.0) is None
        assert self.deaths.of("general-1199", 0.0) is not None


def test_pools_with_their_pods() -> None:
    pools = [read_pool(pool_object("general", timeoutSeconds=7)), read_pool(pool_object("other"))]
    draining = pod_object("general-2", "general")
    draining["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    gone = pod_object("general-3", "general", phase="Failed")
    stranger = pod_object("x-1", "unknown")
    lives = [pod_object("general-1", "general"), draining, gone, stranger, router_pod(0)]
    rows = listed_pools([pool for pool in pools if pool], [read_pod(each) for each in lives])
    general, other = rows
    assert (general.name, general.generation) == ("general", 1)
    assert general.spec["timeoutSeconds"] == 7
    states = {worker.name: worker.state for worker in general.workers.values()}
    assert states == {"general-1": "ready", "general-2": "draining"}
    assert all(worker.incarnation == ANY_LIFE for worker in general.workers.values())
    assert other.workers == {}


def test_a_pool_that_this_release_can_not_read_is_passed_over() -> None:
    assert read_pool(pool_object("general", fromTheFuture=1)) is None


def test_what_the_operator_says_is_wrong() -> None:
    live = pool_object("general")
    condition = {"type": "Degraded", "status": "True", "reason": "GpuUnavailable", "message": "no"}
    live["status"] = {"observedGeneration": 1, "conditions": [condition]}
    pool = read_pool(live)
    assert pool is not None
    assert (pool.cause, pool.reason) == ("gpu_unavailable", "no")
