"""Warm-up: what the spec lists runs on each executor before its first call."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pythonpool.errors import PythonPoolError
from pythonpool_worker.agent.settings import Settings

if TYPE_CHECKING:
    from pythonpool_worker.agent.executors import Executor
    from pythonpool_worker.agent.intake import Intake
    from pythonpool_worker.agent.running import Running

_log = logging.getLogger("pythonpool.agent")


class WarmUp:
    """Runs the warm-up commands one after the other; `on_failure` gets the reason."""

    def __init__(
        self,
        settings: Settings,
        intake: "Intake",
        running: "Running",
        on_failure: Callable[[str], None],
    ) -> None:
        self._steps = settings.warmup
        self._seconds = settings.startup_seconds
        self._intake = intake
        self._running = running
        self._on_failure = on_failure

    def prepare(self, executor: "Executor", ready: Callable[[bool], None]) -> None:
        """Run all steps on `executor`, then say whether it is fit."""
        self._step(executor, 0, ready)

    def _step(self, executor: "Executor", index: int, ready: Callable[[bool], None]) -> None:
        if index == len(self._steps):
            ready(True)
            return
        step = self._steps[index]
        call = self._intake.own_call(step.command, step.args, self._seconds)

        def over(error: PythonPoolError | None) -> None:
            if error is None:
                self._step(executor, index + 1, ready)
            else:
                self._on_failure(f'warm-up command "{step.command}" failed: {error.detail}')
                ready(False)

        call.on_over = over
        self._running.run(call, executor)
