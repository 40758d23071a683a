"""The keeper: hears the agent, the template and who has died, and sends each on its way."""

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from pythonpool_worker import linux
from pythonpool_worker.keeper.config import Config
from pythonpool_worker.keeper.executors import Executors
from pythonpool_worker.keeper.killing import kill_tree
from pythonpool_worker.keeper.log import Log
from pythonpool_worker.keeper.loop import Loop
from pythonpool_worker.keeper.packets import Message, Packets
from pythonpool_worker.keeper.sizes import Sizes
from pythonpool_worker.keeper.sweep import Sweep
from pythonpool_worker.keeper.template import Template
from pythonpool_worker.keeper.watch import MemoryWatch

_LAST_SECONDS = 5.0


class Keeper:
    """Owns all processes of one worker.

    Args:
        control: the connection to the agent, to which hello has been said.
        template: the first one is on its way.
    """

    def __init__(
        self, loop: Loop, log: Log, config: Config, control: socket.socket, template: Template
    ) -> None:
        self._loop = loop
        self._log = log
        self._agent = Packets(loop, control, self._on_agent, self.stop)
        self._template = template
        self._executors = Executors(loop, log, config, template, self._agent.send)
        sizes = Sizes(self._executors, template)
        self._memory = MemoryWatch(
            loop, log, config, template, self._executors, sizes, self._agent.send
        )
        self._helpers: dict[int, int] = {}
        self._sweep = Sweep(loop, os.getpid(), self._is_known)
        self._is_stopping = False

    def begin(self) -> None:
        """Hear the template, and look at memory from now on."""
        self._template.listen(self._on_template)
        self._memory.look()

    def reap(self) -> None:
        """Take the status of every child that has died: the one place that does."""
        while True:
            try:
                result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                break
            if result is None:
                break
            self._on_exit(result.si_pid, result.si_code, result.si_status)
        self._sweep.run()

    def stop(self) -> None:
        """Kill everything and end the loop."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._template.kill()
        for executor in self._executors:
            if executor.pid:
                kill_tree(executor.pid)
        give_up = time.monotonic() + _LAST_SECONDS
        while (left := linux.children(os.getpid())) and time.monotonic() < give_up:
            for child in left:
                kill_tree(child)
            with contextlib.suppress(ChildProcessError):
                while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                    pass
            time.sleep(0.001)
        self._agent.close()
        self._log.flush()
        self._loop.stop()

    def _on_agent(self, message: Message, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        kind = message.get("t")
        if kind == "start":
            self._executors.start(message["id"])
        elif kind == "kill":
            self._executors.kill(message["id"], bool(message.get("dump")))
        elif kind == "stop":
            self.stop()

    def _on_template(self, message: Message, descriptors: list[int]) -> None:
        kind = message["t"]
        if kind == "ready":
            self._on_ready(message, descriptors)
        elif kind == "failed":
            self._agent.send({"t": "template", "state": "failed"} | _without_kind(message))
            self._executors.fail_waiting(message["reason"], message["log"])
        elif kind == "gone":
            self._executors.ask_again()
        elif kind == "forked":
            self._executors.on_forked(message["id"], message["pid"])
        elif kind == "not_forked":
            self._executors.on_not_forked(message["id"], message["reason"])

    def _on_ready(self, message: Message, descriptors: list[int]) -> None:
        self._remember_helpers()
        self._agent.send({"t": "template", "state": "ready"} | _without_kind(message), descriptors)
        self._executors.start_waiting()

    def _on_exit(self, pid: int, code: int, status: int) -> None:
        if pid == self._template.pid:
            self._template.on_exit(code, status)
            return
        # An executor's name is on its way before it is our child, so now it has arrived.
        self._template.drain()
        executor = self._executors.by_pid(pid)
        if executor:
            memory = self._memory
            ran_out, limit = memory.kernel_ran_out(), memory.kernel_limit
            self._executors.on_exit(executor, code, status, ran_out, limit)
        self._helpers.pop(pid, None)

    def _remember_helpers(self) -> None:
        """What start() has left running may live as long as executors that may need it."""
        number = self._template.number
        for pid in linux.descendants(os.getpid()):
            if not self._executors.by_pid(pid) and pid != self._template.pid:
                self._helpers.setdefault(pid, number)

    def _is_known(self, pid: int) -> bool:
        self._template.drain()
        if pid == self._template.pid or self._executors.by_pid(pid):
            return True
        number = self._helpers.get(pid)
        if number is None:
            return self._template.may_have_started(pid)
        return number == self._template.number or any(e.template == number for e in self._executors)


def _without_kind(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "t"}
