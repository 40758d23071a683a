"""Sessions through two routers, draining and recycling: as on one machine."""

from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster_black_box import FarHouse, far_house, unchanged
from flows import test_promises_sessions as sessions
from flows.whole import Asker

pytestmark = pytest.mark.timeout(240)

KILLS = "it kills a process of this machine; test_end_to_end.py does so in pods"

globals().update(
    unchanged(
        sessions,
        test_one_after_the_other="it reads a file that its command has written",
        test_a_draining_worker=KILLS,
        test_a_session_outlives_its_router=KILLS,
        test_a_worker_that_is_killed_takes_its_sessions=KILLS,
    )
)
beside = sessions.beside


@pytest.fixture(scope="module")
def house(cluster: Cluster) -> Iterator[FarHouse]:
    with far_house(cluster, *sessions.POOLS, routers=2) as made:
        yield made


@pytest.fixture
def asker(house: FarHouse) -> Asker:
    return Asker(house)  # type: ignore[arg-type]  # of a house it takes url and token alone
