"""Clients and the command line, hostile HTTP, calls whose time is up: as on one machine."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster_black_box import FarHouse, far_house, unchanged
from flows import test_clients_and_up as clients
from flows import test_hostile_http as hostile
from flows import test_promises_killed as killed
from flows.whole import Asker
from hostile.ground import Ground, prepare

pytestmark = pytest.mark.timeout(240)

PROCESSES = "it looks at, or kills, processes of this machine"
JOURNAL = "it reads a file that its command has written"

globals().update(unchanged(clients))
globals().update(
    unchanged(
        hostile,
        test_slow_callers_and_held_sockets_end_within_35_seconds=PROCESSES,
    )
)
globals().update(
    unchanged(
        killed,
        test_an_idempotent_command_may_run_twice=JOURNAL,
        test_any_other_command_runs_once=PROCESSES,
        test_a_deadline_kills=PROCESSES,
        test_what_a_finished_call_left_is_ended=PROCESSES,
        test_a_process_that_forked_in_a_call_is_ended=PROCESSES,
        test_a_childs_life_in_a_session=PROCESSES,
        test_a_caller_that_goes_ends_its_call=PROCESSES,
        test_with_finish_it_runs_to_its_end=JOURNAL,
        test_kill_an_executor=PROCESSES,
        test_kill_the_standby_and_the_template=PROCESSES,
        test_kill_the_keeper=PROCESSES,
        test_kill_the_agent=PROCESSES,
        test_kill_the_router=PROCESSES,
    )
)
beside, client = killed.beside, clients.client
EXECUTIONS = "/tmp/executions"


class FarGround(Ground):
    """Executions are written down in the worker's pod."""

    def executed(self) -> Counter[str]:
        made = self.house.release  # type: ignore[attr-defined]  # it is a FarHouse
        (pod,) = made.workers("journal")
        shell = ("-c", "executors", "--", "cat", EXECUTIONS)
        return Counter(made.kubectl("exec", pod["metadata"]["name"], *shell).split())


@pytest.fixture(scope="module")
def far(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHouse]:
    folder = tmp_path_factory.mktemp("journal")
    journal = prepare(folder).replace(f"{folder}/executions", EXECUTIONS)
    files = {
        "bench_adapter.py": clients.ADAPTER,
        "journal.py": (folder / "journal.py").read_text(),
    }
    with far_house(cluster, clients.MANIFEST, journal, *killed.POOLS, files=files) as made:
        yield made


@pytest.fixture
def asker(far: FarHouse) -> Asker:
    return Asker(far)  # type: ignore[arg-type]  # of a house it takes url and token alone


@pytest.fixture
def ground(far: FarHouse) -> FarGround:
    return FarGround(far)  # type: ignore[arg-type]  # of a house it takes url, token and client


@pytest.fixture(scope="module")
def place(far: FarHouse) -> clients.Place:
    """What the command line finds it by."""
    found = {"PYTHONPOOL_URL": far.url, "PYTHONPOOL_TOKEN": far.token}
    return clients.Place(far.url, far.token, {"PATH": os.environ["PATH"], **found})
