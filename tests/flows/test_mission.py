"""The mission's scenarios by name, on the three pools of examples/pools.yaml."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flows.house import House, open_house, wait_for
from flows.whole import EXAMPLES, Asker

from pythonpool import Client


@pytest.fixture(scope="module")
def three_pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """`pythonpool up examples/pools.yaml`, ready."""
    pytest.importorskip("dspy", reason="the optimizer pool needs the extra `dspy`")
    pytest.importorskip("jax", reason="the neural pool needs the extra `neural`")
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    opened = open_house(home, [EXAMPLES / "pools.yaml"])
    yield opened
    assert opened.close() == 0
    assert list((home / "run").iterdir()) == []
    shutil.rmtree(home)


@pytest.fixture
def client(three_pools: House) -> Iterator[Client]:
    with three_pools.client() as client:
        yield client


@pytest.fixture
def asker(three_pools: House) -> Asker:
    return Asker(three_pools)


def test_pool_initialization(client: Client) -> None:
    """Each pool has the workers of its manifest, all slots free, all conditions well."""
    pools = {pool["name"]: pool for pool in client.pools()}
    cores = len(os.sched_getaffinity(0))

    assert {name: pool["workers"] for name, pool in pools.items()} == {
        "general": 2 * cores,
        "optimizer": 2,
        "neural": 1,
    }
    for pool in pools.values():
        conditions = {row["type"]: row["status"] for row in pool["conditions"]}
        assert pool["ready"]
        assert pool["available"] == pool["total"] == pool["workers"]
        assert conditions == {"Ready": "True", "Progressing": "False", "Degraded": "False"}


def test_basic_execution_general(client: Client) -> None:
    answer = client.execute("general", "echo", {"message": "Hello from Python"})

    assert answer["status"] == "ok"
    assert answer["echoed"] == {"message": "Hello from Python"}
    assert client.execute("general", "ping")["pool"] == "general"
    assert client.execute("general", "compute", {"operation": "power", "a": 2, "b": 10})[
        "result"
    ] == pytest.approx(1024)


def test_basic_execution_optimizer(client: Client) -> None:
    """A real DSPy optimizer over the whole client path of dspy, better than the baseline."""
    seen: list[float] = []

    answer = client.execute(
        "optimizer",
        "optimize_model",
        {"iterations": 2, "data": "requests"},
        timeout=300,
        on_progress=lambda event: seen.append(event["fraction"]),
    )

    assert answer["score"] > answer["baseline_score"]
    assert seen == sorted(seen)
    assert len(seen) > 1


def test_basic_execution_neural_and_session_persistence(client: Client) -> None:
    """What one call trained, the next call of the same session uses; another session has not."""
    losses: list[float] = []
    with client.session("neural", ttl_seconds=7200) as session:
        session.execute(
            "train_model",
            {"epochs": 10, "batch_size": 32},
            timeout=600,
            on_progress=lambda event: losses.append(event["loss"]),
        )
        assert session.execute("evaluate")["accuracy"] > 0.8
        assert session.show()["ttl_seconds"] == 7200

    assert losses[-1] < losses[0]


def test_saturation(client: Client, asker: Asker) -> None:
    """All slots busy and no wait asked for: 429 at once, with a time to come back."""
    total = asker.pool("general")["total"]
    with ExitStack() as held:
        for _ in range(total):
            held.enter_context(asker.held("general", "compute", _long_power()))
        wait_for(lambda: asker.pool("general")["busy"] == total)

        refused = asker.run("general", "echo", {}, "queue_timeout=0")

    assert refused.status == 429
    assert refused.code == "resource_exhausted"
    assert refused.json["outcome"] == "not_started"
    assert refused.json["retry_after_ms"] > 0
    assert int(refused.fields["retry-after"]) >= 1
    wait_for(lambda: asker.pool("general")["busy"] == 0)


def _long_power() -> dict[str, object]:
    """A computation that takes some seconds: a power of a long whole number."""
    return {"operation": "power", "a": int("7" * 300), "b": 60_000}


def test_worker_failure_recovery(client: Client, asker: Asker, three_pools: House) -> None:
    """A worker that is killed is replaced, and the pool serves all the while."""
    before = {worker["name"]: worker["pid"] for worker in asker.workers("general")}
    name, pid = next(iter(before.items()))

    os.kill(pid, signal.SIGKILL)

    assert client.execute("general", "echo", {"a": 1})["echoed"] == {"a": 1}
    wait_for(lambda: name not in {row["name"] for row in asker.workers("general")}, 20)
    wait_for(lambda: asker.pool("general")["available"] == len(before), 20)


def test_health_check_operation(asker: Asker, three_pools: House) -> None:
    """Health is counted per pool, logged with its figures, and served to probes without a token."""
    log = three_pools.home / "logs" / "router-0.log"

    def checks() -> list[dict[str, object]]:
        lines = [
            json.loads(line) for line in log.read_text().splitlines() if "health_check" in line
        ]
        return [line for line in lines if line["event"] == "health_check"]

    wait_for(lambda: any(check["pool"] == "general" for check in checks()), 50)
    check = next(check for check in checks() if check["pool"] == "general")

    assert check["result"] == "ok"
    assert {"available", "busy", "total", "memory_bytes"} <= set(check)
    assert 'pythonpool_health_checks_total{pool="general",result="ok"}' in asker.metrics()
    assert asker.ask("GET", "/livez", headers={}).status == 200
    assert asker.ask("GET", "/readyz", headers={}).status == 200
