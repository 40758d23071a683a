"""What tests against a real API server share; without one they say why and are skipped."""

from collections.abc import Callable, Iterator

import pytest
from cluster.kube.apiserver import PARTS, ApiServer, api_server
from cluster.kube.client import Cluster, find_cluster
from cluster.kube.programs import program
from cluster.kube.steps import CanNot, note
from operator_stage import POOLS, Api, OperatorProcess, Space, new_space, operator

_ORDER = {
    "test_fifty_pools_settle": -1,
    "test_in_idle_minutes_nothing_is_written_and_hardly_anything_asked": 1,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The idle minutes of test_idle.py pass beside the other tests: begun first, judged last."""
    items.sort(key=lambda item: _ORDER.get(item.name, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long each file took, with what it had to set up."""
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                seconds[file] = seconds.get(file, 0.0) + report.duration
    for file, each in seconds.items():
        if file.startswith("tests/cluster/"):
            note(each, file)


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """etcd and kube-apiserver with the CRD."""
    missing = [name for name in PARTS if not program(name).exists()]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine; `make cluster` makes them")
    try:
        with api_server() as server:
            yield server
    except CanNot as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A cluster with nodes, and the images of this checkout."""
    found = find_cluster()
    if found is None:
        pytest.skip("no cluster with nodes: `make cluster` makes one, or set KUBECONFIG to yours")
    return found


@pytest.fixture(scope="session")
def own_nodes(cluster: Cluster) -> Cluster:
    """The cluster of `make cluster`: its nodes are namespaces of this machine."""
    if not cluster.is_ours:
        pytest.skip("it needs the nodes of `make cluster`, and KUBECONFIG names another cluster")
    return cluster


@pytest.fixture
def no_gpus(own_nodes: Cluster) -> Iterator[Cluster]:
    """No node offers a GPU before the test, whatever an earlier run has left, nor after it."""
    nodes = [node["metadata"]["name"] for node in own_nodes.get("nodes")["items"]]
    for node in nodes:
        own_nodes.advertise_gpus(node, 0)
    yield own_nodes
    for node in nodes:
        own_nodes.advertise_gpus(node, 0)


@pytest.fixture(scope="session")
def api(apiserver: ApiServer) -> Api:
    """HTTP with it."""
    return Api(apiserver)


@pytest.fixture(scope="module")
def served(api: Api) -> Iterator[OperatorProcess]:
    """One operator for all namespaces, while a module's tests run."""
    with operator(api) as running:
        yield running


@pytest.fixture
def space(api: Api, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace of this test's own; its pools are deleted afterwards."""
    made = new_space(api, request.node.name)
    yield made
    api.ask("DELETE", POOLS.format(made.name))


@pytest.fixture
def spaces(api: Api, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Space]]:
    """More namespaces: `spaces("a")`."""
    made: list[Space] = []

    def make(suffix: str) -> Space:
        made.append(new_space(api, f"{request.node.name}-{suffix}"))
        return made[-1]

    yield make
    for one in made:
        api.ask("DELETE", POOLS.format(one.name))
