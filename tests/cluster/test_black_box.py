"""The black-box tests of one machine, unchanged, against a router and workers in a cluster."""

from collections.abc import Iterator

import pytest
import yaml
from cluster.kube.client import Cluster
from cluster_release import Release, release
from flows import test_error_table as table
from flows.house import wait_for
from flows.whole import Asker

pytestmark = pytest.mark.timeout(120)

OF_ONE_MACHINE = {
    # In a cluster a router has whatever name its Ingress has.
    "test_a_foreign_host_or_origin"
}
globals().update(
    {
        name: value
        for name, value in vars(table).items()
        if name.startswith("test_") and name not in OF_ONE_MACHINE
    }
)


@pytest.fixture(scope="module")
def house(cluster: Cluster) -> Iterator[Release]:
    """In place of `up`: the same pools in a namespace with one router."""
    with release(cluster, "router.replicas=1", 'router.errors="Full"') as made:
        pools = [yaml.safe_load(text) for text in table.POOLS]
        for pool in pools:
            made.make(pool["metadata"]["name"], **{"resources": {}, "sessions": {}} | pool["spec"])
        for pool in pools:
            name = pool["metadata"]["name"]
            if name not in ("asleep", "broken"):
                made.settled(name, 1)
        wait_for(lambda: _is_degraded(made, "broken"), 40)
        yield made


@pytest.fixture
def asker(house: Release) -> Asker:
    """Asks the Service over plain HTTP."""
    return Asker(house)  # type: ignore[arg-type]  # of a house it takes url and token alone


def _is_degraded(made: Release, name: str) -> bool:
    conditions = made.service.pool(name)["conditions"]
    return any(each["type"] == "Degraded" and each["status"] == "True" for each in conditions)
