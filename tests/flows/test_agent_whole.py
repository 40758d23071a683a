"""Agent, keeper, template and executors together: what only the whole can show."""

import json
import time
from typing import Any

from agent_stage import FakeRouter, Frame, whole_worker

from pythonpool.messages import OPEN, SESSION, STREAM, U32, Kind

TROUBLES = {"adapter": "troubles:Troubles", "concurrency": 1, "isolation": "process"}


async def answer(
    router: FakeRouter, command: str, body: dict[str, Any] | None = None, **how: Any
) -> Frame:
    router.call(command, json.dumps(body or {}).encode(), **how)
    return await router.inbox.next()


async def test_a_call_a_timeout_and_a_call() -> None:
    """A command that swallows everything is killed, and the next call is answered at once."""
    async with whole_worker(TROUBLES) as router:
        first = await answer(router, "sleep", {"seconds": 0})
        begun = time.monotonic()
        timeout = await answer(router, "swallow", {"seconds": 20}, timeout=0.3)
        late = time.monotonic() - begun - 0.3
        after = await answer(router, "sleep", {"seconds": 0})

        assert first.kind == Kind.RESULT
        assert timeout.json["code"] == "timeout"
        assert "in swallow" in timeout.json["stack"]
        assert late < 0.25
        assert after.kind == Kind.RESULT
        assert after.json["pid"] != first.json["pid"]


async def test_a_command_that_ends_its_process() -> None:
    async with whole_worker(TROUBLES) as router:
        crashed = await answer(router, "exit", {"code": 3})

        assert (crashed.json["code"], crashed.json["cause"]) == ("worker_crashed", "exit:3")


async def test_a_session_survives_the_kill_of_its_call() -> None:
    async with whole_worker(TROUBLES) as router:
        opened = await answer(router, "", {"context": {"by": "test"}}, flags=OPEN)
        secret = opened.json["session_id"].rpartition(".")[2]
        counts = [
            (await answer(router, "count", flags=SESSION, session=secret)).json for _ in range(2)
        ]
        killed = await answer(
            router, "swallow", {"seconds": 20}, flags=SESSION, session=secret, timeout=0.2
        )
        counts.append((await answer(router, "count", flags=SESSION, session=secret)).json)

        assert killed.json["code"] == "timeout"
        assert counts == [1, 2, 3]


async def test_a_stream_from_a_generator() -> None:
    async with whole_worker(TROUBLES) as router:
        number = router.call("count_to", b'{"n":3}', flags=STREAM)
        kinds = []
        while (frame := await router.inbox.next()).kind != Kind.RESULT:
            kinds.append(frame.kind)
            router.send(Kind.CREDIT, number, U32.pack(len(frame.payload)))

        assert kinds[0] == Kind.BEGIN
        assert kinds.count(Kind.CHUNK) == 3


async def test_latency_through_agent_and_executor() -> None:
    """No assertion on time: the figure is for the reader."""
    async with whole_worker(TROUBLES) as router:
        await answer(router, "sleep", {"seconds": 0})
        spans = []
        for _ in range(500):
            begun = time.perf_counter()
            await answer(router, "sleep", {"seconds": 0})
            spans.append((time.perf_counter() - begun) * 1e6)
        spans.sort()
        print(f"p50 {spans[250]:.0f} us, p99 {spans[495]:.0f} us")
