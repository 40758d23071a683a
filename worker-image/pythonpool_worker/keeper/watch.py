"""Watches the memory of one worker, tells the agent, and kills who grows over the line."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pythonpool.spec.quantities import Memory
from pythonpool_worker.keeper.cgroup import OomCount, container
from pythonpool_worker.keeper.config import Config
from pythonpool_worker.keeper.executor import Executor
from pythonpool_worker.keeper.executors import Executors
from pythonpool_worker.keeper.gauge import Correction
from pythonpool_worker.keeper.log import Log
from pythonpool_worker.keeper.loop import Loop
from pythonpool_worker.keeper.memory import (
    Growth,
    is_worth_telling,
    kill_line,
    seconds_to_next_look,
)
from pythonpool_worker.keeper.sizes import Sizes
from pythonpool_worker.keeper.template import Template

_REPORT_SECONDS = 1.0
_UNLIMITED = 1 << 62

Tell = Callable[[dict[str, Any], Sequence[int]], None]


class MemoryWatch:
    """Looks every 5 to 100 ms, the nearer the line the sooner.

    In a container the kernel's figure counts; elsewhere the sum of all processes of the worker.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log,
        config: Config,
        template: Template,
        executors: Executors,
        sizes: Sizes,
        tell: Tell,
    ) -> None:
        self._loop = loop
        self._log = log
        self._template = template
        self._executors = executors
        self._sizes = sizes
        self._tell = tell
        self._container = None if config.one_machine else container()
        self._oom = OomCount(in_container=not config.one_machine)
        self._limit = self._container.limit_bytes if self._container else _bytes(config.memory)
        self._line = _UNLIMITED if self._limit is None else kill_line(self._limit)
        self._executor_limit = _bytes(config.executor_memory)
        self._growth = Growth()
        self._correction = Correction()
        self._corrections: dict[int, Correction] = {}
        self._of_template = Correction()
        self._told_at = 0.0
        self._told = 0

    def look(self) -> None:
        """Look now, and again by itself."""
        now = time.monotonic()
        self._sizes.look()
        used = self._used(now)
        self._check_each(now)
        if not self._template_is_too_large(now):
            self._check_all(now, used)
        self._report(now, used)
        self._loop.after(seconds_to_next_look(self._line - used), self.look)

    def kernel_ran_out(self) -> bool:
        """Whether the kernel has killed in the worker's own container in the last seconds."""
        return self._oom.has_risen()

    @property
    def kernel_limit(self) -> int | None:
        """The memory that the kernel allows the worker's own container; None: it has none."""
        return self._container.limit_bytes if self._container else None

    def _used(self, now: float) -> int:
        if self._container:
            return self._container.used_bytes(self._line)
        return self._correction.apply(self._sizes.total, self._line, self._sizes.pids, now)

    def _check_each(self, now: float) -> None:
        """An executor alone meets RLIMIT_DATA first; this finds what it and its children hold."""
        limit = self._executor_limit
        if limit is None:
            return
        sizes = self._sizes.by_executor
        self._corrections = {key: self._corrections.get(key, Correction()) for key in sizes}
        for executor in self._living():
            correction = self._corrections[executor.id]
            list_pids = partial(self._sizes.pids_of, executor.id)
            size = correction.apply(sizes[executor.id], limit, list_pids, now)
            if size > limit:
                self._kill(executor, limit, size)

    def _template_is_too_large(self, now: float) -> bool:
        """A template that alone is over the line is killed: no executor's death would help."""
        sizes = self._sizes
        held = self._of_template.apply(
            sizes.template_bytes, self._line, sizes.pids_of_template, now
        )
        if held <= self._line:
            return False
        self._template.end(
            f"start() needs more than {self._line} bytes, which is what a template may hold in a "
            f"pool of {self._limit} bytes: raise resources.memory"
        )
        return True

    def _check_all(self, now: float, used: int) -> None:
        """The memory of the dying is on its way: nobody else is killed for it."""
        sizes = self._sizes.by_executor
        living = {executor.id: executor for executor in self._living()}
        self._growth.note(now, {key: sizes[key] for key in living})
        dying = sum(size for key, size in sizes.items() if key not in living)
        if used - dying <= self._line or self._limit is None:
            return
        greediest = self._growth.greediest()
        if greediest is not None:
            self._kill(living[greediest], self._limit, used)

    def _living(self) -> list[Executor]:
        sizes = self._sizes.by_executor
        return [e for e in self._executors if e.id in sizes and not e.kill]

    def _kill(self, executor: Executor, limit: int, peak: int) -> None:
        executor.over_limit = {"limit_bytes": limit, "peak_bytes": peak}
        executor.failure = f"it was killed at {peak} bytes: the limit is {limit}"
        size = self._sizes.by_executor[executor.id]
        self._log.say(
            "warning",
            "memory_kill",
            executor=executor.id,
            call=executor.ends.running_call(),
            message=f"executor {executor.id} is killed, holding {size} bytes: "
            f"{peak} of {limit} bytes are in use",
        )
        self._executors.end(executor, False, lambda _stack, _unkillable: None)

    def _report(self, now: float, used: int) -> None:
        if now - self._told_at < _REPORT_SECONDS:
            return
        self._told_at = now
        self._oom.note(now)
        if is_worth_telling(self._told, used):
            self._told = used
            sizes = {str(key): size for key, size in self._sizes.by_executor.items()}
            message = {"t": "memory", "bytes": used, "limit_bytes": self._limit}
            self._tell(message | {"executors": sizes}, ())


def _bytes(quantity: str | None) -> int | None:
    return None if quantity is None else Memory.parse(quantity).bytes
