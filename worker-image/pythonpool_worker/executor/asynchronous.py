"""Where async commands run: one event loop for each executor. Imported late, see runner.py."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any

from pythonpool_worker.executor.channel import Channel
from pythonpool_worker.executor.failures import leave

_PATIENCE_SECONDS = 0.2
_LOG = logging.getLogger("pythonpool.executor")


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
        if number in self._channel.cancelled:  # it came together with the request
            task.cancel()
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

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def run(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """See `Runner.run`."""
        loop = self._running_loop()
        value, error = asyncio.run_coroutine_threadsafe(
            self._kept(loop, number, coroutine), loop
        ).result()
        if error is not None:
            raise error
        return value

    async def _kept(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        coroutine: Coroutine[Any, Any, Any],
    ) -> tuple[Any, BaseException | None]:
        """What it returns or raises, as a value: what is no Exception would end the loop."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a coroutine of the loop runs in a task")
        with self._channel.on_cancel(number, partial(loop.call_soon_threadsafe, task.cancel)):
            try:
                return await coroutine, None
            except BaseException as error:  # noqa: BLE001
                return None, error

    def end_tasks(self) -> None:
        """Nothing: which call has made a task can not be told."""

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run_forever, args=(self._loop,), daemon=True).start()
            return self._loop


def _run_forever(loop: asyncio.AbstractEventLoop) -> None:
    """Also over a KeyboardInterrupt in a task that a command has left behind."""
    while True:
        try:
            loop.run_forever()
        except SystemExit as error:
            leave(error)
        except BaseException:  # noqa: BLE001  # user's code; the loop serves the others
            _LOG.exception("a task has stopped the event loop")
