"""What a command can not reach, and what does not cross from one namespace to another."""

import signal
from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster_release import Json, Place, Release, release

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def here(cluster: Cluster) -> Iterator[Release]:
    """A release with a pool of somebody who looks around."""
    with release(cluster) as made:
        made.make("mine", adapter="prying:Prying")
        made.settled("mine", 1)
        yield made


@pytest.fixture(scope="module")
def there(cluster: Cluster) -> Iterator[Release]:
    """Another namespace with a pool of the same name."""
    with release(cluster) as made:
        made.make("mine")
        made.settled("mine", 1)
        yield made


@pytest.fixture(scope="module")
def service(here: Release) -> Place:
    """Where the first release is called."""
    return here.service


@pytest.mark.parametrize("name", ["token", "ca.crt", "namespace"])
def test_no_command_reads_a_token(service: Place, name: str) -> None:
    """Neither the link's nor one of the Kubernetes API; and no root of another container."""
    answer = service.run("mine", "files", {"name": name})

    assert (answer.status, answer.json) == (200, [])


def test_its_own_settings_are_there(service: Place) -> None:
    """The search above finds what there is."""
    assert (
        "/var/run/pythonpool/worker.json"
        in service.run("mine", "files", {"name": "worker.json"}).json
    )


def test_no_command_sees_the_agent(service: Place) -> None:
    """Where no process can be seen, no signal and no debugger reaches it."""
    seen = service.run("mine", "processes").json

    assert any("pythonpool_worker.keeper" in words for words in seen)
    assert not any("pythonpool_worker.agent" in words for words in seen)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
)
def test_no_signal_ends_the_keeper(here: Release, service: Place, number: int) -> None:
    assert service.run("mine", "signal_first", {"number": int(number)}).status == 200

    assert service.run("mine", "processes").status == 200
    (pod,) = here.workers("mine")
    assert _restarts(pod) == {0}


def test_nobody_poses_as_the_keeper(service: Place) -> None:
    answer = service.run("mine", "pose_as_keeper")

    assert (answer.status, answer.json) == (200, "")
    assert service.run("mine", "processes").status == 200


def test_nothing_crosses_between_namespaces(here: Release, there: Release) -> None:
    own, other = here.service, there.service
    (pod,), (foreign,) = here.workers("mine"), there.workers("mine")

    for place, worker in ((own, pod), (other, foreign)):
        items = place.ask("GET", "/v1/pools/mine/workers").json["items"]
        assert [each["name"] for each in items] == [worker["metadata"]["name"]]

    crossed = Place(other.host, other.port, own.token).run("mine", "sleep", {"seconds": 0})
    assert (crossed.status, crossed.code) == (401, "unauthenticated")
    handle = other.ask("POST", "/v1/sessions", {"pool": "mine"}).json["session_id"]
    assert own.in_session(handle, "count").code == "session_lost"
    assert other.in_session(handle, "count").json == 1


def _restarts(pod: Json) -> set[int]:
    status = pod["status"]
    return {
        each["restartCount"]
        for each in (*status["initContainerStatuses"], *status["containerStatuses"])
    }
