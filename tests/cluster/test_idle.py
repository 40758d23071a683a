"""Idle means idle: many pools on a real API server, and what operator and router ask it meanwhile.

Begun before the other tests of a run and judged after them (conftest.py), so that the minutes cost
nobody time. IDLE_MINUTES=10 for a long look.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.kube.apiserver import ApiServer
from cluster.kube.places import CHECKOUT
from cluster.kube.programs import program
from cluster.kube.steps import run
from operator_stage import POOLS, Api, Space, new_space, operator, wait
from real_house import RealHouse

POOL_COUNT = 50
MINUTES = float(os.environ.get("IDLE_MINUTES", "2"))
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
KEYS = "pythonpool-link-keys"
READS = {"get", "list", "watch"}

pytestmark = pytest.mark.timeout(int(MINUTES * 60) + 240)


@dataclass(frozen=True, slots=True)
class Quiet:
    """A namespace where nothing happens; `since` is seconds since 1970, when that began."""

    space: Space
    since: float


@pytest.fixture(scope="session")
def quiet(apiserver: ApiServer, api: Api) -> Iterator[Quiet]:
    """Pools that have all that they need, an operator and a router with the chart's rights."""
    if not program("helm").exists():
        pytest.skip("no helm on this machine; `make cluster` makes it")
    space = new_space(api, "idle")
    grant_operator(apiserver, space)
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    house = RealHouse(folder, space)
    asked = f"/api/v1/namespaces/{space.name}/serviceaccounts/pythonpool-operator/token"
    token = api.ask("POST", asked, {"spec": {"expirationSeconds": 7200}})["status"]["token"]
    where = ("--load-host", "127.0.0.1", "--load-port")
    with (
        router(house),
        operator(
            api,
            *("--namespace", space.name),
            *(*where, str(house.monitoring_port)),
            *("--link-secret", KEYS, "--rotate-links"),
            token=token,
        ),
    ):
        for number in range(POOL_COUNT):
            space.make(f"pool-{number}")
        for number in range(POOL_COUNT):
            name = f"pool-{number}"
            space.pod(READY, name)
            space.deployment_status(name, replicas=1, readyReplicas=1, updatedReplicas=1)
        for number in range(POOL_COUNT):
            space.wait_for("Progressing", "Settled", f"pool-{number}")
        bundle = f"/api/v1/namespaces/{space.name}/configmaps/pythonpool-link-ca"
        wait(lambda: api.find(bundle))
        yield Quiet(space, time.time() + 1)
    shutil.rmtree(folder)
    api.ask("DELETE", POOLS.format(space.name))


def grant_operator(server: ApiServer, space: Space) -> None:
    """The account and the rights that the chart gives the operator, and the Secret for its keys."""
    text = run(program("helm"), "template", "x", CHECKOUT / "helm", "--namespace", space.name)
    mine = [
        each
        for each in yaml.safe_load_all(text)
        if each
        and each["kind"] in ("ServiceAccount", "Role", "RoleBinding", "Secret")
        and each["metadata"]["name"] in ("pythonpool-operator", KEYS)
    ]
    server.kubectl("apply", "-n", space.name, "-f", "-", text_in=yaml.safe_dump_all(mine))


@contextmanager
def router(house: RealHouse) -> Iterator[None]:
    """Run a router until the block ends."""
    command = [
        *(sys.executable, "-m", "pythonpool_router", *house.home_arguments(0), *house.monitored()),
        *("--unix", str(house.path(0)), "--token-file", str(house.folder / "token")),
    ]
    with (house.folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(lambda: house.path(0).exists() or process.poll() is not None, 60)
        yield
    finally:
        process.kill()
        process.wait()


def test_fifty_pools_settle(quiet: Quiet) -> None:
    """The beginning of the idle time."""
    assert len(quiet.space.api.items(POOLS.format(quiet.space.name))) == POOL_COUNT


def test_in_idle_minutes_nothing_is_written_and_hardly_anything_asked(
    quiet: Quiet, apiserver: ApiServer
) -> None:
    until = quiet.since + MINUTES * 60
    wait(lambda: time.time() > until, MINUTES * 60 + 10)

    asked = requests(apiserver.folder / "logs" / "audit.log", quiet, until)

    print(f"{MINUTES:g} min, {POOL_COUNT} pools:", dict(Counter(asked)))
    assert [each for each in asked if each[1] not in READS] == []
    assert len(asked) <= POOL_COUNT * MINUTES


def requests(log: Path, quiet: Quiet, until: float) -> list[tuple[str, str, str]]:
    """Account, verb and resource of each request that operator and router made in that time."""
    prefix = f"system:serviceaccount:{quiet.space.name}:"
    found: dict[str, tuple[str, str, str]] = {}
    for line in log.read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
        user = entry["user"]["username"]
        if user.startswith(prefix) and quiet.since <= at <= until:
            resource = entry.get("objectRef", {}).get("resource", "")
            found[entry["auditID"]] = (user.removeprefix(prefix), entry["verb"], resource)
    return list(found.values())
