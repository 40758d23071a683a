"""What runs coroutines, made when the first one comes.

asyncio is a quarter of a template's start, and most adapters have no async command.
"""

import threading
from collections.abc import Coroutine, Iterable
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, Protocol

from pythonpool.sdk.commands import Command
from pythonpool_worker.executor.channel import Channel

_LOOPS = "pythonpool_worker.executor.asynchronous"


class Runner(Protocol):
    """What calls need to run a coroutine to its end."""

    def run(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine of request `number` returns; a CANCEL cancels its task."""
        ...

    def end_tasks(self) -> None:
        """Cancel what a finished call without a session has left running."""
        ...


class LateRunner:
    """A `Runner` that is nothing until it is needed; `shared`: for several threads at once."""

    def __init__(self, channel: Channel, *, shared: bool) -> None:
        self._channel = channel
        self._shared = shared
        self._runner: Runner | None = None
        self._making = threading.Lock()

    def run(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """See `Runner.run`."""
        with self._making:
            if self._runner is None:
                self._runner = self._made()
        return self._runner.run(number, coroutine)

    def end_tasks(self) -> None:
        """See `Runner.end_tasks`."""
        if self._runner is not None:
            self._runner.end_tasks()

    def _made(self) -> Runner:
        from pythonpool_worker.executor.asynchronous import OwnLoop, SharedLoop

        return SharedLoop(self._channel) if self._shared else OwnLoop(self._channel)


def preload_loops(commands: Iterable[Command]) -> None:
    """Import what async commands need, if there are any: forks then share it."""
    if any(iscoroutinefunction(c.function) or isasyncgenfunction(c.function) for c in commands):
        import_module(_LOOPS)
