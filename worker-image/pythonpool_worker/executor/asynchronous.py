"""Where async commands run: one event loop for each executor, made when it is first needed."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Protocol

from pythonpool_worker.executor.channel import Channel

_PATIENCE_SECONDS = 0.2


class Runner(Protocol):
    """What calls need to run a coroutine to its end."""

    def run(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine of request `number` returns; a CANCEL cancels its task."""
        ...

    def end_tasks(self) -> None:
        """Cancel what a finished call without a session has left running."""
        ...


class OwnLoop:
    """A loop that runs in the calling thread, only while a command does. Process isolation."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """See `Runner.run`."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.new_event_loop()
        task = loop.create_task(coroutine)
        loop.add_reader(self._channel.fileno(), self._readable, loop, task, number)
        try:
            return loop.run_until_complete(task)
        finally:
            loop.remove_reader(self._channel.fileno())

    def end_tasks(self) -> None:
        """See `Runner.end_tasks`."""
        if self._loop is not None and (left := asyncio.all_tasks(self._loop)):
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(left, timeout=_PATIENCE_SECONDS))

    def _readable(
        self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]", number: int
    ) -> None:
        if self._channel.is_cancel_waiting(number):
            task.cancel()
        # What came is read when the call is over; until then it would wake the loop for ever.
        loop.remove_reader(self._channel.fileno())


class SharedLoop:
    """A loop in a thread of its own, for all calls at once. Thread isolation."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def run(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """See `Runner.run`; here `Context.is_cancelled` alone tells of a CANCEL."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop()).result()

    def end_tasks(self) -> None:
        """Nothing: which call has made a task can not be told."""

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True).start()
            return self._loop
