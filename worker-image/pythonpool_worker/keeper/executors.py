"""The executors of one worker: asked for, started, ready, killed, dead.

For each `start` of the agent there is exactly one `executor` or `failed`, and after `executor`
exactly one `exited`. Told about template and deaths by the keeper.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pythonpool_worker import linux
from pythonpool_worker.keeper.causes import cause_of
from pythonpool_worker.keeper.config import Config
from pythonpool_worker.keeper.ends import make_ends
from pythonpool_worker.keeper.executor import Executor
from pythonpool_worker.keeper.killing import Kill, kill_tree
from pythonpool_worker.keeper.launch import launch
from pythonpool_worker.keeper.log import Log
from pythonpool_worker.keeper.loop import Loop
from pythonpool_worker.keeper.pipes import OutputPipe
from pythonpool_worker.keeper.template import Template

Tell = Callable[[dict[str, Any], Sequence[int]], None]

_READ_BYTES = 65_536
_MAX_REASON = 2000
STUCK_SECONDS = 5.0
STUCK_SECONDS_PER_BYTE = 1 / (4 << 30)


class Executors:
    """All executors of the worker, by the agent's ids."""

    def __init__(
        self, loop: Loop, log: Log, config: Config, template: Template, tell: Tell
    ) -> None:
        self._loop = loop
        self._log = log
        self._config = config
        self._template = template
        self._tell = tell
        self._by_id: dict[int, Executor] = {}
        self._waiting: list[int] = []

    def __iter__(self) -> Iterator[Executor]:
        return iter(list(self._by_id.values()))

    def by_pid(self, pid: int) -> Executor | None:
        """The executor of that pid, if it is one."""
        return next((e for e in self._by_id.values() if e.pid == pid), None)

    def start(self, executor_id: int) -> None:
        """Make an executor, now or as soon as the template is ready."""
        if not self._template.is_settled:
            self._waiting.append(executor_id)
            return
        try:
            self._make(executor_id)
        except OSError as error:
            self._by_id.pop(executor_id, None)
            self._say_failed(executor_id, f"no executor can be started: {error}", "")

    def start_waiting(self) -> None:
        """The template is ready: make what was asked for meanwhile."""
        waiting, self._waiting = self._waiting, []
        for executor_id in waiting:
            self.start(executor_id)

    def fail_waiting(self, reason: str, log: str) -> None:
        """The template could not start: nor can what waits for it."""
        waiting, self._waiting = self._waiting, []
        for executor_id in waiting:
            self._say_failed(executor_id, reason, log)

    def ask_again(self) -> None:
        """The template died: what it had not yet forked waits for the next one."""
        for executor in self:
            if not executor.pid:
                self._forget(executor)
                self._waiting.append(executor.id)

    def on_forked(self, executor_id: int, pid: int) -> None:
        """The template has made one, which is about to become our child."""
        executor = self._by_id.get(executor_id)
        if executor is None:
            kill_tree(pid)  # given up meanwhile
            return
        executor.pid = pid
        executor.shared_bytes = linux.anonymous_bytes(self._template.pid)
        if executor.wants_dump is not None:
            self.kill(executor_id, executor.wants_dump)

    def on_not_forked(self, executor_id: int, reason: str) -> None:
        """The template could not make one."""
        executor = self._by_id.get(executor_id)
        if executor:
            self._give_up(executor, f"the template can not fork: {reason}")

    def kill(self, executor_id: int, dump: bool) -> None:
        """The agent's kill: `killed` and then `exited` are the answers.

        One that is dead already has said `exited`, and nothing more is said.
        """
        executor = self._by_id.get(executor_id)
        if executor is None:
            self._cancel_waiting(executor_id)
        elif not executor.pid:
            executor.wants_dump = dump
        elif executor.kill is None:
            executor.wants_dump = dump
            self.end(executor, dump, partial(self._say_killed, executor))

    def end(
        self, executor: Executor, dump: bool, on_sent: Callable[[str | None, bool], None]
    ) -> None:
        """Kill an executor for whatever reason; once."""
        if executor.kill is not None:
            return
        stack = executor.ends.stack if dump else None
        seconds = STUCK_SECONDS + linux.resident_bytes(executor.pid) * STUCK_SECONDS_PER_BYTE
        self._loop.after(seconds, partial(self._on_stuck, executor))
        executor.kill = Kill(self._loop, executor.pid, stack, on_sent)
        executor.kill.begin()

    def on_exit(
        self,
        executor: Executor,
        code: int,
        status: int,
        kernel_ran_out: bool,
        kernel_limit: int | None = None,
    ) -> None:
        """It is dead and reaped; `kernel_limit` is the memory that the kernel allows, if known."""
        executor.output.finish()
        if executor.kill:
            executor.kill.finish()
        cause = cause_of(code, status, executor.over_limit is not None, kernel_ran_out)
        log = executor.output.tail
        self._forget(executor)
        if executor.is_ready or executor.wants_dump is not None:
            exited = {"t": "exited", "id": executor.id, "pid": executor.pid, "cause": cause}
            limits = executor.over_limit or {}
            if cause == "oom" and kernel_limit:
                limits = {"limit_bytes": kernel_limit}
            self._tell(exited | limits | {"log": log}, ())
        else:
            reason = executor.failure or f"it ended before it was ready ({cause})"
            self._say_failed(executor.id, reason, log)

    def _make(self, executor_id: int) -> None:
        ends, theirs = make_ends()
        who: dict[str, object] = {"executor": executor_id}
        output = OutputPipe(self._loop, self._log, ends.output, who, ends.running_call)
        executor = Executor(executor_id, self._template.number, ends, output)
        self._by_id[executor_id] = executor
        self._loop.read(ends.channel.fileno(), partial(self._on_channel, executor))
        executor.startup = self._loop.after(
            self._config.startup, partial(self._on_too_late, executor)
        )
        if self._template.forks:
            self._template.fork(executor_id, theirs)
            return
        try:
            arguments = [str(self._config.path), self._config.worker, *map(str, theirs)]
            module = "pythonpool_worker.template.spawned"
            executor.pid = launch(module, arguments, theirs, theirs[1])
        except OSError:
            self._forget(executor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def _on_channel(self, executor: Executor) -> None:
        channel = executor.ends.channel
        try:
            data = channel.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.forget_reader(channel.fileno())  # its death is told by SIGCHLD
            return
        ready, failed = executor.hear(data)
        if failed is not None:
            executor.failure = str(json.loads(failed).get("reason", ""))[:_MAX_REASON]
            self.end(executor, False, lambda _stack, _unkillable: None)
        elif ready and executor.kill is None:
            self._hand_over(executor)

    def _hand_over(self, executor: Executor) -> None:
        if executor.startup:
            executor.startup.cancel()
        channel = executor.ends.channel
        self._loop.forget_reader(channel.fileno())
        executor.is_ready = True
        self._tell({"t": "executor", "id": executor.id, "pid": executor.pid}, [channel.detach()])

    def _on_too_late(self, executor: Executor) -> None:
        seconds = self._config.startup
        executor.failure = f"it was not ready within startupSeconds ({seconds:g})"
        forked = self._template.forks and executor.template == self._template.number
        if not executor.pid:
            self._give_up(executor, "the template does not answer")
            self._template.kill()
            return
        self.end(executor, True, partial(self._log_stack, executor))
        if forked:
            self._template.distrust(f"a forked executor was not ready within {seconds:g} s")

    def _cancel_waiting(self, executor_id: int) -> None:
        if executor_id in self._waiting:
            self._waiting.remove(executor_id)
            self._say_never_was(executor_id)

    def _give_up(self, executor: Executor, reason: str) -> None:
        """It will not come to be: no process bears its name."""
        self._forget(executor)
        if executor.wants_dump is None:
            self._say_failed(executor.id, reason, "")
        else:
            self._say_never_was(executor.id)

    def _say_never_was(self, executor_id: int) -> None:
        """It was killed before it was a process."""
        self._tell({"t": "killed", "id": executor_id, "stack": None, "unkillable": False}, ())
        exited = {"t": "exited", "id": executor_id, "pid": 0, "cause": "signal:9", "log": ""}
        self._tell(exited, ())

    def _say_killed(self, executor: Executor, stack: str | None, unkillable: bool) -> None:
        killed = {"t": "killed", "id": executor.id, "stack": stack, "unkillable": unkillable}
        self._tell(killed, ())

    def _on_stuck(self, executor: Executor) -> None:
        if self._by_id.get(executor.id) is executor:
            self._tell({"t": "stuck", "id": executor.id}, ())

    def _say_failed(self, executor_id: int, reason: str, log: str) -> None:
        self._tell({"t": "failed", "id": executor_id, "reason": reason, "log": log}, ())

    def _log_stack(self, executor: Executor, stack: str | None, _unkillable: bool) -> None:
        self._log.say(
            "error",
            "executor_not_ready",
            executor=executor.id,
            message=executor.failure,
            stack=stack,
        )

    def _forget(self, executor: Executor) -> None:
        if executor.startup:
            executor.startup.cancel()
        executor.output.close()
        self._loop.forget_reader(executor.ends.channel.fileno())
        executor.ends.close()
        self._by_id.pop(executor.id, None)
