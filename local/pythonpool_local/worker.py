"""One worker on this machine: its folder, its agent and its keeper, from the start to the end.

The pool starts it, watches its state and ends it; it restarts its own keeper, and it judges its
agent by the notify pipe, the time to start and the liveness probe.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pythonpool import names
from pythonpool_local import asking
from pythonpool_local.backoff import Backoff, jittered
from pythonpool_local.environment import cleaned, of_executors
from pythonpool_local.ground import Ground, agent_command, keeper_command
from pythonpool_local.notify import NotifyPipe, secret_pipe
from pythonpool_local.order import Order
from pythonpool_local.output import last_lines
from pythonpool_local.processes import Child, Program, how_it_ended

State = Literal["starting", "ready", "draining", "failed"]

KEEPER_GRACE_SECONDS = 5.0
"""A keeper kills what it started within this time, else it is killed with all that is below it."""

PROBE_SECONDS = 5.0
"""How long a probe may take; no longer than the time between two."""


class Worker:
    """A pod's counterpart. `changed` is called after everything that others may want to know.

    Attributes:
        name: unique in this home.
        revision: of the pool's order that it was made from.
        state: starting, ready, draining or failed.
        incarnation: of its agent; empty until the agent said so.
        reason: why it failed, in one line; `log`: the last lines that it wrote.
        recycle: why it wants to be replaced, or empty.
        started_at: RFC 3339.
        ready_at: when it was ready first, on the monotonic clock, or None.
        is_leaving: it has been told to go.
        is_gone: no process of it is left.
    """

    def __init__(
        self, ground: Ground, order: Order, revision: int, changed: Callable[[], None]
    ) -> None:
        self.name = names.new_worker_name(order.name)
        self.revision = revision
        self.state: State = "starting"
        self.incarnation = ""
        self.reason = ""
        self.log = ""
        self.recycle = ""
        self.ready_at: float | None = None
        self.started_at = ""
        self.is_leaving = False
        self.is_gone = False
        self._ground = ground
        self._order = order
        self._changed = changed
        self._notify: NotifyPipe | None = None
        self._agent: Child | None = None
        self._keeper: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._was_ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The agent's process, while there is one."""
        return self._agent.pid if self._agent is not None and self._agent.is_running else None

    def start(self, generation: int, secret: str, started_at: str) -> None:
        """Make the folder and start both processes; what goes wrong makes it failed."""
        self.started_at = started_at
        try:
            self._make_folder(generation)
            self._agent = self._start_agent(secret)
            self._keeper = self._start_keeper()
        except OSError as error:
            self.fail(f"it could not be started: {error.strerror or error}")
        self._task = asyncio.create_task(self._live())

    def drain(self, grace_seconds: float, *, is_told: bool = False) -> None:
        """Let it finish, for so long at most; then kill it. `is_told`: it knows already."""
        was_told = self.is_leaving or is_told
        self.is_leaving = True
        self.state = "draining"
        if self._agent is not None:
            if not was_told:  # a second one would end it at once
                self._agent.send(signal.SIGTERM)
            asyncio.get_running_loop().call_later(grace_seconds, self._agent.send, signal.SIGKILL)
        self._changed()

    def desert(self, grace_seconds: float) -> None:
        """The same, when no caller can reach it any more: its sessions are not waited for."""
        if self._agent is not None:
            self._agent.send(signal.SIGUSR1)
        self.drain(grace_seconds, is_told=True)

    def kill(self) -> None:
        """End it at once."""
        self.is_leaving = True
        if self._agent is not None:
            self._agent.send(signal.SIGKILL)

    async def gone(self) -> None:
        """Wait until no process of it is left."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def fail(self, reason: str, log: str = "") -> None:
        """It can not serve; the pool replaces it."""
        if self.is_leaving or self.state == "failed":
            return
        self.state = "failed"
        self.reason = reason
        self.log = log or last_lines(self._log)
        self._changed()

    @property
    def _folder(self) -> Path:
        return self._ground.home.worker(self.name)

    @property
    def _log(self) -> Path:
        return self._ground.home.log(self.name)

    def _make_folder(self, generation: int) -> None:
        self._folder.mkdir(mode=0o700)
        config = {
            "pool": self._order.name,
            "worker": self.name,
            "generation": generation,
            "spec": self._order.worker_spec,
            "import_path": [str(self._order.folder)],
            "one_machine": True,
        }
        path = self._folder / "worker.json"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(config, file)

    def _start_agent(self, secret: str) -> Child:
        reading = secret_pipe(secret)
        self._notify = NotifyPipe(self._heard)
        try:
            return self._ground.children.start(
                Program(
                    argv=agent_command(
                        self._ground,
                        self._folder / "worker.json",
                        reading,
                        self._notify.writing,
                        self._folder / "probe.sock",
                    ),
                    environment=cleaned(self._ground.environment),
                    folder=self._folder,
                    log=self._log,
                    descriptors=(reading, self._notify.writing),
                )
            )
        finally:
            os.close(reading)
            self._notify.give_away()

    def _start_keeper(self) -> Child:
        return self._ground.children.start(
            Program(
                argv=keeper_command(self._folder / "worker.json"),
                environment=of_executors(self._ground.environment, self._order.spec),
                folder=self._order.folder,
                log=self._log,
                # Not SIGKILL: it must live long enough to kill what its executors started.
                death_signal=signal.SIGTERM,
            )
        )

    async def _live(self) -> None:
        """From the start to the end of the agent; nothing is left afterwards."""
        watching = [asyncio.create_task(self._watch()), asyncio.create_task(self._keep_keeper())]
        code = await self._agent.exited if self._agent is not None else 0
        for task in watching:
            task.cancel()
        if self._notify is not None:
            self._notify.close()
        if self._agent is not None:
            self.fail(f"its agent ended with {how_it_ended(code)}")
        if self._keeper is not None:
            await self._keeper.end(KEEPER_GRACE_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.is_gone = True
        self._changed()

    async def _keep_keeper(self) -> None:
        """A keeper that crashed is started again for the same worker."""
        backoff = Backoff(self._ground.chance)
        while self._keeper is not None:
            began = self._ground.now()
            code = await asyncio.shield(self._keeper.exited)
            if self.is_leaving:
                return
            now = self._ground.now()
            self._ground.report(f"{self.name}: its keeper ended with {how_it_ended(code)}")
            backoff.failed(now, now - began)
            await asyncio.sleep(backoff.wait(now))
            try:
                self._keeper = self._start_keeper()
            except OSError as error:
                self.fail(f"its keeper could not be started: {error}")
                return
            self._changed()

    async def _watch(self) -> None:
        """The time to start, then the liveness probe."""
        health = self._order.pool.spec.health_check
        try:
            async with asyncio.timeout(health.startup_seconds):
                await self._was_ready.wait()
        except TimeoutError:
            self._give_up(f"it was not ready after {health.startup_seconds} s")
            return
        failures = 0
        while failures < health.failure_threshold:
            await asyncio.sleep(jittered(health.period_seconds, self._ground.chance))
            failures = 0 if await self._is_alive() else failures + 1
        self._give_up(f"it failed {failures} health checks in a row")

    async def _is_alive(self) -> bool:
        allowed = min(PROBE_SECONDS, self._order.pool.spec.health_check.period_seconds)
        try:
            status, _ = await asking.get(self._folder / "probe.sock", "/livez", allowed)
        except OSError:
            return False
        return status == 200

    def _give_up(self, reason: str) -> None:
        self.fail(reason)
        if self._agent is not None:
            self._agent.send(signal.SIGKILL)

    def _heard(self, message: dict[str, Any]) -> None:
        """One line of the agent's."""
        self.incarnation = str(message.get("incarnation", self.incarnation))
        if "recycle" in message:
            self.recycle = str(message["recycle"])
        match message.get("state"):
            case "ready" if not self.is_leaving:
                self.state = "ready"
                self.reason = self.log = ""
                if self.ready_at is None:
                    self.ready_at = self._ground.now()
                self._was_ready.set()
            case "starting" if not self.is_leaving:
                self.state = "starting"
            case "draining":
                self.state = "draining"
            case "failed":
                self.fail(str(message.get("reason", "it failed")), str(message.get("log") or ""))
        self._changed()
