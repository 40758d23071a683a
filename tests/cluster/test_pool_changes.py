"""What happens to running calls and sessions when workers are taken away: on real nodes."""

import time
from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster_release import Place, Release, condition, read, release
from flows.house import wait_for

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Release]:
    """The chart in a namespace of its own, and its routers Ready."""
    with release(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def service(installed: Release) -> Place:
    """The Service before both routers."""
    return installed.service


def names(installed: Release, pool: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in installed.workers(pool)}


def busy(service: Place, pool: str) -> list[str]:
    """The workers that run a call."""
    shown = service.ask("GET", f"/v1/pools/{pool}/workers").json["items"]
    return [worker["name"] for worker in shown if worker["busy"]]


def test_scaling_down_takes_the_idle(installed: Release, service: Place) -> None:
    """Of three workers one runs a call and one holds a session; `kubectl scale` to two."""
    installed.make("shrunk", replicas=3)
    installed.settled("shrunk", 3)
    wait_for(lambda: service.pool("shrunk")["total"] == 3)
    holder = service.ask("POST", "/v1/sessions", {"pool": "shrunk"}).json
    handle = holder["session_id"]
    call = service.sent("shrunk", "sleep", {"seconds": 15})
    wait_for(lambda: len(busy(service, "shrunk")) == 1)
    (worker,) = busy(service, "shrunk")
    kept = {worker, holder["worker"]}

    installed.kubectl("scale", "pythonpool", "shrunk", "--replicas=2")
    wait_for(lambda: len(names(installed, "shrunk")) == 2, 30)

    assert kept <= names(installed, "shrunk")
    answer = read(call)
    assert (answer.status, answer.fields["pythonpool-worker"]) == (200, worker)
    assert service.in_session(handle, "count").json == 1
    installed.remove("shrunk")


def test_recycling_makes_the_new_worker_first(installed: Release, service: Place) -> None:
    """The only worker of a pool is replaced while it runs a call: none is lost, none refused."""
    installed.make("renewed")
    installed.settled("renewed", 1)
    wait_for(lambda: service.pool("renewed")["ready"])
    (old,) = names(installed, "renewed")
    call = service.sent("renewed", "sleep", {"seconds": 18})
    wait_for(lambda: busy(service, "renewed") == [old])
    began = time.monotonic()

    path = f"/v1/pools/renewed/workers/{old}/recycle"
    assert service.ask("POST", path).status == 202

    seen: set[int] = set()

    def is_replaced() -> bool:
        status = installed.get("pythonpool", "renewed")["status"]
        seen.add(status["replicas"])
        assert status["readyReplicas"] == 1
        now = names(installed, "renewed")
        return len(now) == 1 and old not in now

    wait_for(is_replaced, 60)
    print(f"replaced after {time.monotonic() - began:.1f} s")
    assert seen == {1}, "whoever scales by the status has seen one worker all the time"
    answer = read(call)
    assert (answer.status, answer.fields["pythonpool-worker"]) == (200, old)
    fresh = service.run("renewed", "sleep", {"seconds": 0})
    assert fresh.status == 200
    assert fresh.fields["pythonpool-worker"] in names(installed, "renewed")
    installed.settled("renewed", 1)
    assert installed.get("deployment", "renewed")["spec"]["replicas"] == 1
    installed.remove("renewed")


def test_an_adapter_that_can_not_start_is_quoted(installed: Release) -> None:
    """`kubectl describe` says what it printed last, through a real kubelet."""
    installed.make("mute", config={"start": "complain"})

    def message() -> str:
        degraded = condition(installed.get("pythonpool", "mute"), "Degraded")
        return str(degraded.get("message", ""))

    wait_for(lambda: "no licence for the solver" in message(), 40)
    assert condition(installed.get("pythonpool", "mute"), "Degraded")["reason"] == "CannotStart"
    installed.remove("mute")


def test_a_deleted_pool_finishes_its_calls(installed: Release, service: Place) -> None:
    installed.make("deleted")
    installed.settled("deleted", 1)
    wait_for(lambda: service.pool("deleted")["ready"])
    call = service.sent("deleted", "sleep", {"seconds": 8})
    wait_for(lambda: len(busy(service, "deleted")) == 1)

    installed.kubectl("delete", "pythonpool", "deleted", "--wait=false")

    def is_unknown() -> bool:
        return service.run("deleted", "sleep", {"seconds": 0}).code == "pool_not_found"

    wait_for(is_unknown)
    answer = read(call)
    assert answer.status == 200, answer.body
    wait_for(lambda: not names(installed, "deleted"), 40)
