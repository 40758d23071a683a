"""Lines and refusals, bodies, streams, picking a pool, access: as on one machine."""

from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster_black_box import FarHouse, far_house, unchanged
from flows import test_promises_lines as lines
from flows.whole import Asker

pytestmark = pytest.mark.timeout(240)

JOURNAL = "it reads a file that its command has written"

globals().update(
    unchanged(
        lines,
        test_first_in_first_out=JOURNAL,
        test_a_caller_that_has_gone_leaves_the_line=JOURNAL,
    )
)
beside = lines.beside


@pytest.fixture(scope="module")
def house(cluster: Cluster) -> Iterator[FarHouse]:
    with far_house(cluster, *lines.POOLS) as made:
        yield made


@pytest.fixture
def asker(house: FarHouse) -> Asker:
    return Asker(house)  # type: ignore[arg-type]  # of a house it takes url and token alone
