"""What `up` does when processes die, and when its files are read again."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from flows.house import House, manifest, wait_for

from pythonpool import Client, PythonPoolError, ResultTooLarge
from pythonpool_local.asking import get

Open = Callable[..., House]

GENERAL = manifest("general", "{adapter: general, replicas: 2}")


def ready(up: House, pool: str = "general") -> set[str]:
    return {worker["name"] for worker in up.workers(pool) if worker["state"] == "ready"}


def pools(up: House) -> set[str]:
    return {entry["name"] for entry in up.record("pools.json")["pools"]}


def generation(up: House, pool: str = "general") -> int:
    entries = {entry["name"]: entry for entry in up.record("pools.json")["pools"]}
    number: int = entries[pool]["generation"]
    return number


def program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def processes(up: House, module: str) -> list[int]:
    recorded = [pid for pid, _ in up.record("processes.json")["processes"]]
    return [pid for pid in recorded if module in program(pid)]


def ping(up: House, pool: str = "general") -> bool:
    try:
        with up.client() as client:
            return bool(client.execute(pool, "ping")["status"] == "ok")
    except PythonPoolError:
        return False


def change(up: House, text: str) -> None:
    (up.home / "pools-0.yaml").write_text(text)
    up.read_again()


def test_a_dead_agent_is_replaced_by_a_fresh_worker(house: Open) -> None:
    up = house(GENERAL)
    before = ready(up)
    agent = up.workers("general")[0]["pid"]

    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: len(ready(up)) == 2 and len(ready(up) & before) == 1)

    assert ping(up)
    folders = {path.name for path in (up.home / "run").iterdir() if path.is_dir()}
    assert folders == ready(up)


def test_a_dead_keeper_is_started_again_for_the_same_worker(house: Open) -> None:
    up = house(manifest("general", "{adapter: general}"))
    before = ready(up)
    (keeper,) = processes(up, "pythonpool_worker.keeper")

    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: processes(up, "pythonpool_worker.keeper") not in ([], [keeper]))
    wait_for(lambda: ping(up) and ready(up) == before)


async def test_a_dead_router_is_back_on_its_socket(house: Open) -> None:
    up = house(GENERAL)
    (router,) = up.content["routers"]

    os.kill(router["pid"], signal.SIGKILL)
    wait_for(lambda: up.record("up.json")["routers"][0]["pid"] not in (None, router["pid"]), 5.0)
    wait_for(lambda: ping(up), 5.0)

    status, _ = await get(Path(router["socket"]), "/livez", 2.0)
    assert status == 200


def test_a_frozen_agent_fails_its_health_check_and_is_replaced(house: Open) -> None:
    spec = "{adapter: general, healthCheck: {periodSeconds: 1, failureThreshold: 2}}"
    up = house(manifest("general", spec))
    (frozen,) = up.workers("general")

    os.kill(frozen["pid"], signal.SIGSTOP)
    wait_for(lambda: ready(up) and frozen["name"] not in ready(up), 15.0)

    assert ping(up)
    assert "health checks" in up.said


def test_recycling_replaces_before_it_drains(house: Open) -> None:
    """A pool of one keeps serving while its worker is replaced."""
    up = house(manifest("general", "{adapter: general}"))
    (before,) = ready(up)

    with up.client() as client:
        client.recycle("general", before)
        wait_for(lambda: ping(up) and before not in ready(up) and ready(up))
    assert "general: Degraded" not in up.said
    wait_for(lambda: len(up.workers("general")) == 1)


def test_more_and_fewer_replicas(house: Open) -> None:
    up = house(GENERAL)
    before = ready(up)

    change(up, manifest("general", "{adapter: general, replicas: 3}"))
    wait_for(lambda: len(ready(up)) == 3)
    assert before < ready(up)

    change(up, manifest("general", "{adapter: general, replicas: 1}"))
    wait_for(lambda: len(up.workers("general")) == 1)
    assert ping(up)


def test_other_changes_replace_workers(house: Open) -> None:
    up = house(GENERAL)
    before = ready(up)

    change(up, manifest("general", "{adapter: general, replicas: 2, concurrency: 2}"))
    wait_for(lambda: len(ready(up)) == 2 and not ready(up) & before, 20.0)

    assert ping(up)


def test_pools_come_and_go(house: Open) -> None:
    up = house(GENERAL)

    change(up, GENERAL + manifest("second", "{adapter: general}"))
    wait_for(lambda: ping(up, "second"))

    change(up, manifest("second", "{adapter: general}"))
    wait_for(lambda: pools(up) == {"second"})
    assert ping(up, "second")
    assert not ping(up)


def test_a_refused_file_changes_nothing(house: Open) -> None:
    up = house(GENERAL)
    before = ready(up)

    change(up, manifest("general", "{adapter: general, replicas: -1}"))
    wait_for(lambda: "spec.replicas is -1" in up.said)

    assert ready(up) == before
    assert generation(up) == 1
    assert ping(up)


def test_a_new_limit_of_results_reaches_executors_that_run(house: Open) -> None:
    """results.maxBytes is live: no worker is replaced, and its executors go by the new one."""
    small = manifest("general", "{adapter: general, results: {maxBytes: 1Ki}}")
    up = house(small)
    before, text = ready(up), "x" * 5000
    with up.client() as client:
        with pytest.raises(ResultTooLarge):
            client.execute("general", "echo", {"text": text})

        change(up, small.replace("1Ki", "1Mi"))

        wait_for(lambda: fits(client, text))
    assert ready(up) == before


def fits(client: Client, text: str) -> bool:
    try:
        return bool(client.execute("general", "echo", {"text": text})["echoed"]["text"] == text)
    except ResultTooLarge:
        return False
