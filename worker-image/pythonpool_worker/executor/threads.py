"""Thread isolation: the main thread receives, N threads answer."""

import threading
from queue import SimpleQueue

from pythonpool_worker.executor.calls import Calls
from pythonpool_worker.executor.channel import Channel, ChannelClosedError, Request

_Queue = SimpleQueue[tuple[int, Request] | None]


def serve_in_threads(channel: Channel, calls: Calls, count: int) -> None:
    """Answer requests in `count` threads until the agent is gone."""
    waiting: _Queue = SimpleQueue()
    for index in range(count):
        name = f"slot-{index}"
        threading.Thread(target=_work, args=(waiting, calls), name=name, daemon=True).start()
    while (request := channel.receive()) is not None:
        waiting.put(request)
    for _ in range(count):
        waiting.put(None)


def _work(waiting: _Queue, calls: Calls) -> None:
    while (request := waiting.get()) is not None:
        try:
            calls.answer(*request)
        except ChannelClosedError:
            return
