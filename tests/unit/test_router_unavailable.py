"""Whether a call waits for a worker that comes, or is told at once that there is none."""

import pytest
from router_objects import listed, pools_of

from pythonpool_router.pools import ANY_LIFE, ListedWorker, Pool
from pythonpool_router.refusals import unavailable_now
from pythonpool_router.workers import Worker


class Standing:
    """Stands for a link: only that there is one matters here."""


def degraded(pod: str, said: str | None) -> Pool:
    """A pool that the operator calls Degraded.

    Args:
        pod: how its only pod stands.
        said: the state of the worker in it; None: it has not dialled.
    """
    pool = pools_of(listed("general")).get("general")
    pool.cause, pool.reason = "out_of_memory", "executors was killed over its memory limit"
    pool.listed = {"general-1": ListedWorker("general-1", ANY_LIFE, pod, None, None)}
    if said is not None:
        worker = Worker(pool, "general-1", "0" * 16)
        worker.link = Standing()  # type: ignore[assignment]
        worker.state = said
        pool.workers[worker.name] = worker
    return pool


@pytest.mark.parametrize(
    ("pod", "said"),
    [("ready", None), ("starting", "starting")],
    ids=["it has still to dial", "its executors start again"],
)
def test_a_call_waits_for_a_worker_that_comes(pod: str, said: str | None) -> None:
    assert unavailable_now(degraded(pod, said), 30.0) is None


@pytest.mark.parametrize(
    ("pod", "said"),
    [("starting", None), ("starting", "failed"), ("failed", "starting")],
    ids=["it never was ready", "it can not start", "it crashes again and again"],
)
def test_a_call_is_told_the_cause(pod: str, said: str | None) -> None:
    problem = unavailable_now(degraded(pod, said), 30.0)

    assert problem is not None
    assert problem.cause == "out_of_memory"
