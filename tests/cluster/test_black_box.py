"""The table of errors, as on one machine."""

from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster_black_box import FarHouse, far_house, unchanged, wait_until_degraded
from flows import test_error_table as table
from flows.whole import Asker

pytestmark = pytest.mark.timeout(240)

globals().update(
    unchanged(table, test_a_foreign_host_or_origin="a router has the name that its Ingress has")
)


@pytest.fixture(scope="module")
def house(cluster: Cluster) -> Iterator[FarHouse]:
    with far_house(cluster, *table.POOLS, unready=frozenset({"asleep", "broken"})) as made:
        wait_until_degraded(made, "broken")
        yield made


@pytest.fixture
def asker(house: FarHouse) -> Asker:
    return Asker(house)  # type: ignore[arg-type]  # of a house it takes url and token alone
