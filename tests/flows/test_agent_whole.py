"""Agent, keeper, template and executors together: what only the whole can show."""

import asyncio
import time

from agent_stage import FakeRouter, Frame, whole_worker

from pythonpool.messages import Kind

TROUBLES = {"adapter": "troubles:Troubles", "concurrency": 1, "isolation": "process"}


async def answer(router: FakeRouter, command: str, body: bytes = b"{}", **how: float) -> Frame:
    router.call(command, body, **how)  # type: ignore[arg-type]
    return await router.inbox.next()


async def test_a_call_a_timeout_and_a_call() -> None:
    """A command that swallows everything is killed, and the next call is answered at once."""
    async with whole_worker(TROUBLES) as router:
        first = await answer(router, "sleep", b'{"seconds":0}')
        begun = time.monotonic()
        timeout = await answer(router, "swallow", b'{"seconds":20}', timeout=0.3)
        late = time.monotonic() - begun - 0.3
        after = await answer(router, "sleep", b'{"seconds":0}')

        assert first.kind == Kind.RESULT
        assert timeout.json["code"] == "timeout"
        assert "in swallow" in timeout.json["stack"]
        assert late < 0.25
        assert after.kind == Kind.RESULT
        assert after.json["pid"] != first.json["pid"]


async def test_latency_through_agent_and_executor() -> None:
    """No assertion on time: the figure is for the reader."""
    async with whole_worker(TROUBLES) as router:
        await answer(router, "sleep", b'{"seconds":0}')
        spans = []
        for _ in range(500):
            begun = time.perf_counter()
            await answer(router, "sleep", b'{"seconds":0}')
            spans.append((time.perf_counter() - begun) * 1e6)
        spans.sort()
        print(f"p50 {spans[250]:.0f} us, p99 {spans[495]:.0f} us")
        await asyncio.sleep(0)
