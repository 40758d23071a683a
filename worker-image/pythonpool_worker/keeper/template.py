"""The keeper's side of the template: starts it, asks it for forks, starts it again when it dies."""

import os
import socket
import time
from collections.abc import Sequence
from functools import partial

from pythonpool_worker import linux
from pythonpool_worker.keeper.causes import cause_of
from pythonpool_worker.keeper.config import Config
from pythonpool_worker.keeper.killing import kill_tree
from pythonpool_worker.keeper.launch import launch
from pythonpool_worker.keeper.log import Log
from pythonpool_worker.keeper.loop import Loop, Timer
from pythonpool_worker.keeper.packets import Message, OnMessage, Packets
from pythonpool_worker.keeper.pipes import OutputPipe

FIRST_DELAY_SECONDS = 0.5
LAST_DELAY_SECONDS = 30.0
# One that has been ready for so long begins again with the first delay.
_PROVEN_SECONDS = 10.0
# Nobody waits for it: also on a busy machine its stacks get into the log.
_DUMP_SECONDS = 0.5
# A fork takes milliseconds; one that has not come for so long will not come.
_FORK_SECONDS = 5.0


class Template:
    """One template after the other.

    The listener gets `ready`, `failed` (with `log`), `forked`, `not_forked` and `gone`; the last
    one when a template that was ready has died: what was asked of it will not come.

    Attributes:
        pid: of the process that lives now; 0 when there is none.
        number: counts the template's lives, from 1.
        is_settled: whether it has said how executors are to be made.
        forks: whether they are forked from it; otherwise they are spawned.
    """

    def __init__(self, loop: Loop, log: Log, config: Config) -> None:
        self._loop = loop
        self._log = log
        self._config = config
        self._on_message: OnMessage = lambda _message, _descriptors: None
        self._packets: Packets | None = None
        self._output: OutputPipe | None = None
        self._output_fd = -1
        self._failure: str | None = None
        self._is_ending = False
        self._delay = FIRST_DELAY_SECONDS
        self._ready_at = 0.0
        self._started = 0
        self._startup: Timer | None = None
        self._forking: Timer | None = None
        self._forks_asked = 0
        self._ready: Message = {}
        self._catalogue: int | None = None
        self.pid = 0
        self.number = 0
        self.is_settled = False
        self.forks = False

    def listen(self, on_message: OnMessage) -> None:
        """Hand on what it says; before the loop runs."""
        self._on_message = on_message

    def start(self) -> None:
        """Start a template; it says `ready` or `failed`."""
        self.number += 1
        self._failure = None
        self._is_ending = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._output_fd, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._output_fd, False)
        who: dict[str, object] = {"executor": None}
        self._output = OutputPipe(self._loop, self._log, self._output_fd, who, lambda: "")
        self._packets = Packets(self._loop, ours, self._on_packet, lambda: None)
        arguments = [str(self._config.path), self._config.worker, str(theirs.fileno())]
        try:
            self.pid = launch("pythonpool_worker.template", arguments, [theirs.fileno()], writer)
            self._started = linux.start_ticks(self.pid)
            self._startup = self._loop.after(self._config.startup, self._too_late)
        except OSError as error:
            self._failure = f"the template can not be started: {error}"
            self._ended("")
        finally:
            theirs.close()
            os.close(writer)

    def fork(self, executor_id: int, descriptors: Sequence[int]) -> None:
        """Ask for one executor; takes the descriptors. `forked` or `not_forked` is the answer."""
        if self._packets is None:
            raise RuntimeError("only a template that is ready forks")
        self._packets.send({"t": "fork", "id": executor_id}, descriptors)
        self._await_forks(1)

    def may_have_started(self, pid: int) -> bool:
        """Whether `pid` can be a helper that start(), which is not done yet, has left running."""
        return not self.is_settled and 0 < self._started <= linux.start_ticks(pid)

    def drain(self) -> None:
        """Hear all that it has said so far, so that no child of ours is unknown to us."""
        if self._packets:
            self._packets.drain()

    def distrust(self, why: str) -> None:
        """Its forks do not work: from now on executors are spawned, and `ready` says so again."""
        if self.forks:
            self._log.say("warning", "template_unsafe", message=f"executors are spawned: {why}")
            self.forks = False
            self._let_go()
            catalogue = [os.dup(self._catalogue)] if self._catalogue is not None else []
            self._on_message(self._ready | {"fork": False, "why_spawned": why}, catalogue)

    def on_exit(self, code: int, status: int) -> None:
        """It is dead and reaped."""
        self.drain()
        self.pid = self._started = 0
        self._ended(cause_of(code, status, False, False))

    def end(self, why: str, dump: bool = False) -> None:
        """It is of no use any more: kill it, with `dump` after its stacks; the next one comes."""
        if not self.pid or self._is_ending:
            return
        self._is_ending = True
        self._failure = why
        self._log.say("error", "template_killed", message=why)
        if dump:
            linux.send_signal(self.pid, linux.STACK_SIGNAL)  # into its log
            self._loop.after(_DUMP_SECONDS, self.kill)
        else:
            self.kill()

    def kill(self) -> None:
        """Kill it and its helpers; the next one comes by itself."""
        if self.pid:
            kill_tree(self.pid)

    def _let_go(self) -> None:
        """It has no more work: its end of the socket reads the end, and it exits."""
        if self._packets:
            self._packets.close()
            self._packets = None

    def _on_packet(self, message: Message, descriptors: list[int]) -> None:
        if message["t"] == "failed":
            self._failure = message["reason"]  # told with the last lines, once it has exited
            return
        if message["t"] in ("forked", "not_forked"):
            self._await_forks(-1)
        if message["t"] == "ready":
            message["pid"] = self.pid
            self._on_ready(message, descriptors)
        self._on_message(message, descriptors)

    def _on_ready(self, message: Message, descriptors: list[int]) -> None:
        if self._startup:
            self._startup.cancel()
        self._ready_at = time.monotonic()
        self.is_settled = True
        self.forks = message["fork"]
        self._ready = message
        if self._catalogue is not None:
            os.close(self._catalogue)
        self._catalogue = os.dup(descriptors[0]) if descriptors else None
        if not self.forks:
            why = message["why_spawned"]
            self._log.say("warning", "executors_spawned", message=f"executors are spawned: {why}")

    def _await_forks(self, more: int) -> None:
        """One more fork was asked for, or one has come: the next is due in a few seconds."""
        self._forks_asked += more
        if more > 0 and self._forks_asked > 1:
            return  # the one before is awaited
        if self._forking:
            self._forking.cancel()
            self._forking = None
        if self._forks_asked:
            why = f"the template hangs: no fork came within {_FORK_SECONDS:g} s"
            self._forking = self._loop.after(_FORK_SECONDS, partial(self.end, why, dump=True))

    def _ended(self, cause: str) -> None:
        for timer in (self._startup, self._forking):
            if timer:
                timer.cancel()
        self._forks_asked, self._forking = 0, None
        log = ""
        if self._output:
            self._output.finish()
            log = self._output.tail
            os.close(self._output_fd)
            self._output = None
        self._let_go()
        if self.is_settled and not self.forks:
            return  # it has done all it was for
        was_ready, self.is_settled = self.is_settled, False
        if was_ready:
            self._log.say("warning", "template_died", message=f"the template died: {cause}")
            self._on_message({"t": "gone"}, [])
        else:
            reason = self._failure or f"the template ended before it was ready: {cause}"
            self._log.say("error", "template_failed", message=reason)
            self._on_message({"t": "failed", "reason": reason, "log": log}, [])
        self._start_later(was_ready)

    def _start_later(self, was_ready: bool) -> None:
        from random import uniform  # costs 8 ms of each start, for the rare death

        if was_ready and time.monotonic() - self._ready_at > _PROVEN_SECONDS:
            self._delay = FIRST_DELAY_SECONDS
        self._loop.after(self._delay * uniform(0.8, 1.2), self.start)  # noqa: S311
        self._delay = min(self._delay * 2, LAST_DELAY_SECONDS)

    def _too_late(self) -> None:
        seconds = self._config.startup
        self.end(f"start() was not done within startupSeconds ({seconds:g})", dump=True)
