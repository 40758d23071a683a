"""Changes while calls run: nothing is lost, live fields act, what could not start recovers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flows.house import House, manifest, wait_for

from pythonpool import PythonPoolError, Timeout

Open = Callable[..., House]

ADAPTER = '''
import pathlib, time
from pythonpool import Adapter, command

HERE = pathlib.Path(__file__).parent
if (HERE / "refuse").exists():
    raise RuntimeError("the folder says no")

class Shop(Adapter):
    """For tests."""

    def start(self) -> None:
        if (HERE / "slow").exists():
            time.sleep(60)

    @command
    def nap(self, seconds: float) -> float:
        """Sleep."""
        time.sleep(seconds)
        return seconds
'''


def shop(home: Path, more: str = "", *, mark: str = "") -> Path:
    """A manifest with an adapter beside it; `mark` is a file that changes what it does."""
    folder = home / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "shop.py").write_text(ADAPTER)
    if mark:
        (folder / mark).write_text("")
    file = folder / "pools.yaml"
    file.write_text(manifest("shop", "{adapter: 'shop:Shop'" + more + "}"))
    return file


def ready(up: House) -> set[str]:
    return {worker["name"] for worker in up.workers("shop") if worker["state"] == "ready"}


@contextmanager
def calls(up: House) -> Iterator[list[str]]:
    """Short calls, one after the other on two connections; the list gets what went wrong."""
    wrong: list[str] = []
    done = threading.Event()

    def call() -> None:
        with up.client() as client:
            while not done.is_set():
                try:
                    client.execute("shop", "nap", {"seconds": 0.02})
                except PythonPoolError as error:
                    wrong.append(f"{error.code}: {error.detail}")

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        yield wrong
    finally:
        done.set()
        for caller in callers:
            caller.join()


def test_recycling_loses_no_call(house: Open, home: Path) -> None:
    up = house(shop(home))
    (before,) = ready(up)

    with calls(up) as wrong, up.client() as client:
        client.recycle("shop", before)
        wait_for(lambda: ready(up) and before not in {w["name"] for w in up.workers("shop")})

    assert wrong == []


def test_a_rollout_loses_no_call(house: Open, home: Path) -> None:
    up = house(shop(home, ", replicas: 2"))
    before = ready(up)

    with calls(up) as wrong:
        shop(home, ", replicas: 2, env: [{name: A, value: b}]")
        up.read_again()
        wait_for(lambda: len(ready(up)) == 2 and not ready(up) & before, 20.0)
        wait_for(lambda: len(up.workers("shop")) == 2)

    assert wrong == []


def test_fewer_replicas_lose_no_call(house: Open, home: Path) -> None:
    up = house(shop(home, ", replicas: 3"))

    with calls(up) as wrong:
        shop(home, ", replicas: 1")
        up.read_again()
        wait_for(lambda: len(up.workers("shop")) == 1)

    assert wrong == []


def test_a_live_field_acts_at_once(house: Open, home: Path) -> None:
    up = house(shop(home))
    before = ready(up)

    shop(home, ", timeoutSeconds: 1")
    up.read_again()
    wait_for(lambda: up.record("pools.json")["pools"][0]["generation"] == 2)

    def is_cut() -> bool:
        with up.client() as client, pytest.raises(Timeout):
            client.execute("shop", "nap", {"seconds": 5.0})
        return True

    assert is_cut()
    assert ready(up) == before


def test_a_degraded_pool_recovers_by_itself(house: Open, home: Path) -> None:
    other = manifest("general", "{adapter: general}")
    up = house(shop(home, mark="refuse"), other)
    assert "the folder says no" in up.content["pools"][0]["reason"]

    (home / "shop" / "refuse").unlink()
    wait_for(lambda: ready(up), 20.0)

    with up.client() as client:
        assert client.execute("shop", "nap", {"seconds": 0.0}) == 0.0
    wait_for(lambda: up.record("pools.json")["pools"][0]["reason"] is None)


def test_a_start_that_takes_too_long_is_degraded(house: Open, home: Path) -> None:
    file = shop(home, ", healthCheck: {startupSeconds: 2}", mark="slow")
    up = house(file, manifest("general", "{adapter: general}"))

    slow, general = up.content["pools"]
    assert not slow["ready"]
    assert slow["reason"]
    assert general["ready"]
