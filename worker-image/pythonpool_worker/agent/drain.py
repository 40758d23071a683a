"""The end of a worker: what runs is finished, sessions go on for a while, then all is closed."""

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pythonpool_worker.agent.worker import Worker

_log = logging.getLogger("pythonpool.agent")

# Between two looks at bytes that the kernel has not taken: nothing tells of those.
_LOOK_SECONDS = 0.05


async def drained(worker: "Worker", deserted: asyncio.Event) -> None:
    """Return when nothing runs, no session is left and every answer is out.

    Once `deserted` is set nobody can call any more: sessions that do nothing are not waited for.
    """
    worker.drain()
    loop = asyncio.get_running_loop()
    sessions_until = loop.time() + worker.settings.drain_seconds
    while True:
        worker.changed.clear()
        if deserted.is_set() or loop.time() >= sessions_until:
            worker.sessions.end_idle("drained")
        if not worker.busy_now() and not len(worker.sessions):
            if not worker.links.unsent_bytes:
                return
            wait = _LOOK_SECONDS
        else:
            left = sessions_until - loop.time() if len(worker.sessions) else 0.0
            wait = max(_LOOK_SECONDS, left)
        try:
            async with asyncio.timeout(wait):
                await worker.changed.wait()
        except TimeoutError:
            continue
