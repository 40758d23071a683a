"""The queue of pools and the store of live objects: nothing twice, nothing lost."""

import ast
import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from pythonpool_operator import handlers
from pythonpool_operator.cluster import ApiError
from pythonpool_operator.handlers import Backoffs
from pythonpool_operator.keyqueue import KeyQueue, TryAgain
from pythonpool_operator.kinds import BUDGET, DEPLOYMENT, POD, POOL, Key
from pythonpool_operator.store import Store

A, B = Key("here", "a"), Key("here", "b")


class Work:
    """Counts, and does what it is told to do next."""

    def __init__(self) -> None:
        self.seen: list[Key] = []
        self.errors: list[Exception] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.news = asyncio.Condition()
        self.most_at_once = 0
        self.gone: set[Key] = set()
        self._running = 0

    async def __call__(self, key: Key) -> bool:
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        async with self.news:
            self.seen.append(key)
            self.news.notify_all()
        await self.may_end.wait()
        self._running -= 1
        if self.errors:
            raise self.errors.pop()
        return key not in self.gone

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5), self.news:
            await self.news.wait_for(lambda: len(self.seen) >= count)


async def running(queue: KeyQueue) -> asyncio.Task[None]:
    return asyncio.create_task(queue.run())


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def test_a_key_waits_once_and_runs_once_at_a_time() -> None:
    work = Work()
    queue = KeyQueue(work, workers=4, resync_seconds=60)
    queue.add(A)
    queue.add(A)
    assert queue.length == 1
    work.may_end.clear()
    task = await running(queue)
    await work.until(1)

    queue.add(A)
    queue.add(A)
    queue.add(B)
    await work.until(2)
    assert work.seen == [A, B]

    work.may_end.set()
    await work.until(3)
    assert work.seen == [A, B, A]
    assert work.most_at_once == 2
    await end(task)


async def test_what_failed_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.errors = [ValueError("a defect"), TryAgain("not now")]
    queue = KeyQueue(work, workers=1, resync_seconds=60)
    task = await running(queue)

    with caplog.at_level(logging.WARNING):
        queue.add(A)
        await work.until(3)

    assert "here/a: not now; tried again" in caplog.text
    assert "ValueError: a defect" in caplog.text
    await end(task)


async def test_every_key_is_looked_at_again() -> None:
    work = Work()
    queue = KeyQueue(work, workers=2, resync_seconds=0.01)
    task = await running(queue)
    queue.add(A)

    await work.until(4)

    await end(task)


async def test_a_key_that_is_gone_is_left_alone() -> None:
    work = Work()
    work.gone = {A}
    queue = KeyQueue(work, workers=1, resync_seconds=0.01)
    task = await running(queue)
    queue.add(A)
    await work.until(1)

    queue.add(B)
    await work.until(6)

    assert work.seen.count(A) == 1
    await end(task)


def live(name: str, uid: str = "u", version: str = "5", **more: Any) -> dict[str, Any]:
    labels = {"pythonpool.dev/pool": "a"}
    meta = {"name": name, "namespace": "here", "uid": uid, "resourceVersion": version}
    return {"metadata": meta | {"labels": labels, "managedFields": [1]}} | more


def test_an_older_form_never_replaces_a_newer() -> None:
    store = Store()
    assert store.put(DEPLOYMENT, live("a", version="10", spec=1))
    assert not store.put(DEPLOYMENT, live("a", version="9", spec=2))
    assert not store.put(DEPLOYMENT, live("a", version="10", spec=2))
    assert store.child(A, DEPLOYMENT, "a") == live("a", version="10", spec=1) | {
        "metadata": {
            key: value
            for key, value in live("a", version="10")["metadata"].items()
            if key != "managedFields"
        }
    }

    store.put(DEPLOYMENT, live("a", uid="other", version="1", spec=3))
    found = store.child(A, DEPLOYMENT, "a")
    assert found is not None
    assert found["spec"] == 3


def test_objects_without_a_pool_are_passed_over() -> None:
    store = Store()
    stranger = {"metadata": {"name": "x", "namespace": "here", "uid": "u"}}

    assert store.put(BUDGET, stranger) is False
    assert store.remove(BUDGET, stranger) is False


def test_only_the_object_that_is_gone_is_forgotten() -> None:
    store = Store()
    store.put(POOL, live("a", uid="new"))
    store.remove(POOL, live("a", uid="old"))
    assert store.pools() == [A]
    assert store.remove(POOL, live("a", uid="new"))
    assert store.pool(A) is None

    store.put(DEPLOYMENT, live("a"))
    store.forget(DEPLOYMENT, A, "a", "old")
    assert list(store.known(DEPLOYMENT)) == [(A, "a", "u")]
    store.forget(DEPLOYMENT, A, "a", "u")
    store.forget(DEPLOYMENT, A, "a", "u")
    assert list(store.known(DEPLOYMENT)) == []


def test_of_pods_only_what_counts_is_kept() -> None:
    store = Store()
    store.put(POD, live("a-1", spec={"large": 1}, status={"phase": "Running", "podIP": "10.0.0.1"}))
    store.put(POOL, live("a"))

    (pod,) = store.pods(A)

    assert "spec" not in pod
    assert pod["status"] == {"phase": "Running"}
    assert list(store.known(POD)) == [(A, "a-1", "u")]
    assert list(store.known(POOL)) == [(A, "a", "u")]


@pytest.mark.parametrize(
    ("status", "message", "permanent"),
    [
        (400, "", True),
        (422, "", True),
        (500, "failed to create typed patch object (x): unknown", True),
        (500, "etcd", False),
        (409, "", False),
        (0, "", False),
    ],
)
def test_only_a_wrong_manifest_is_not_tried_again(
    status: int, message: str, permanent: bool
) -> None:
    assert ApiError(status, "", message).is_permanent is permanent


def test_backoffs_never_end() -> None:
    waits = iter(Backoffs())

    assert 0.2 <= next(waits) <= 0.3
    assert all(next(waits) <= 6 for _ in range(100))
    assert next(waits) >= 4


def test_kopf_runs_nothing_in_threads() -> None:
    """Store and queue belong to the event loop; kopf runs plain functions in threads."""
    source = Path(handlers.__file__).read_text()
    decorated = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list
    ]

    assert len(decorated) == 2
    assert all(isinstance(node, ast.AsyncFunctionDef) for node in decorated)
