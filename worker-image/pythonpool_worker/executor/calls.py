"""One request from its frame to its answer: check the args, call the command, send what came."""

import difflib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from pythonpool.adapter import Adapter, Context, Session, nobody_asked
from pythonpool.errors import (
    CommandNotFound,
    Internal,
    Outcome,
    OutOfMemory,
    PythonPoolError,
)
from pythonpool.messages import OCTETS, RESULT_HEAD, RETIRE, STREAM, Kind, Run, frame, microseconds
from pythonpool.sdk.commands import Command, commands_of
from pythonpool_worker.executor.channel import (
    Channel,
    ChannelClosedError,
    Request,
    SessionOpen,
)
from pythonpool_worker.executor.failures import command_failed, error_payload, leave, out_of_memory
from pythonpool_worker.executor.invoke import Answer, Invoker
from pythonpool_worker.executor.label import Label
from pythonpool_worker.executor.leftovers import Leftovers
from pythonpool_worker.executor.progress import Cancelled, Progress
from pythonpool_worker.executor.runner import LateRunner
from pythonpool_worker.executor.sessions import Sessions
from pythonpool_worker.executor.settings import ExecutorSettings

_LOG = logging.getLogger("pythonpool.executor")
_EMPTY = Answer(b"")


class Calls:
    """Answers requests; in process isolation one after the other, else from several threads.

    Made after `open()`: the processes that live then are the adapter's own and are spared.
    """

    def __init__(self, adapter: Adapter, channel: Channel, settings: ExecutorSettings) -> None:
        self._adapter = adapter
        self._channel = channel
        self._settings = settings
        self._threads = settings.isolation == "thread"
        self._runner = LateRunner(channel, shared=self._threads)
        self._invoker = Invoker(adapter, channel, self._runner, settings.memory_bytes)
        self._commands = commands_of(type(adapter))
        self._sessions = Sessions(adapter, channel, settings)
        self._look: Callable[[int], bool] = (
            channel.cancelled.__contains__ if self._threads else channel.is_cancel_waiting
        )
        self._leftovers = Leftovers()
        self._leftovers.spare_present()
        self._label = Label(settings.label_fd)
        self._pid = os.getpid()
        self._gate = threading.Lock()
        self._running = 0

    def answer(self, number: int, request: Request) -> None:
        """Do what `request` asks and send its terminal frame.

        Raises:
            ChannelClosedError: the agent is gone.
        """
        began = time.monotonic()
        if self._threads:
            with self._gate:
                self._running += 1
        try:
            if isinstance(request, Run):
                self._label.begin(number, request.call_id)
                self._run(number, request, began)
                self._label.end(number)
            elif isinstance(request, SessionOpen):
                name = "open_session" if request.snapshot is None else "load"
                self._hook(number, name, lambda: self._sessions.open(number, request), began)
            else:
                self._hook(number, "close_session", lambda: self._sessions.close(request), began)
        except ChannelClosedError:
            raise
        except Exception as error:  # noqa: BLE001  # an edge: the executor goes on
            _LOG.exception("a defect of the executor")
            self._send(number, Internal(f"the executor failed: {error!r:.300}"), began, True)
        finally:
            self._channel.cancelled.discard(number)
            if self._threads:
                with self._gate:
                    self._running -= 1

    def _run(self, number: int, run: Run, began: float) -> None:
        name = run.command.decode(errors="replace")
        try:
            session = self._session(run.session_id)
            command = self._command(name)
            args = command.reader.read(run.body)
        except PythonPoolError as error:
            self._send(number, error, began, True)
            return
        except MemoryError as error:
            self._send(number, self._out_of_memory(name, error, "not_started"), began, True)
            return
        progress = Progress(self._channel, number) if run.flags & STREAM else None
        context = self._context(number, run, session, progress, began)
        if progress is not None:
            self._channel.send(frame(Kind.BEGIN, number))
        outcome = self._invoker.outcome(command, number, context, args, progress is not None)
        if os.getpid() != self._pid:
            # A fork that a command made came back here; its parent answers, it must not.
            os._exit(0)
        is_clean = self._clean() if session is None else True
        if session is not None:
            self._sessions.send_snapshot(number, session)
        if progress is not None:
            progress.flush()
        self._send(number, outcome, began, is_clean)

    def _session(self, session_id: bytes) -> Session | None:
        if not session_id:
            return None
        session = self._sessions.get(session_id.decode())
        if session is None:
            raise Internal("the session is not open in this executor", outcome="not_started")
        return session

    def _command(self, name: str) -> Command:
        command = self._commands.get(name)
        if command is None:
            near = difflib.get_close_matches(name, self._commands, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise CommandNotFound(
                f'pool "{self._settings.pool}" has no command "{name:.100}"{hint}'
            )
        return command

    def _context(
        self,
        number: int,
        run: Run,
        session: Session | None,
        progress: Progress | None,
        began: float,
    ) -> Context:
        return Context(
            run.call_id.decode(),
            began + run.timeout_seconds,
            self._settings.pool,
            self._settings.worker,
            self._adapter.config,
            session,
            run.traceparent.decode(errors="replace"),
            nobody_asked if progress is None else progress,
            Cancelled(self._look, number),
        )

    def _clean(self) -> bool:
        """End what a call without a session has left; False when it would not die."""
        if not self._threads:
            self._runner.end_tasks()
            # An alarm that was left would kill a later call.
            signal.setitimer(signal.ITIMER_REAL, 0)
            return self._leftovers.end()
        with self._gate:
            # Daemons belong to no thread: they can be told only from a call that runs alone.
            if self._running == 1 and not len(self._sessions):
                return self._leftovers.end()
        return self._leftovers.end_of_thread()

    def _hook(self, number: int, name: str, hook: Callable[[], None], began: float) -> None:
        outcome: Answer | PythonPoolError = _EMPTY
        try:
            hook()
        except SystemExit as error:
            leave(error)
        except MemoryError as error:
            outcome = self._out_of_memory(name, error, "finished")
        except BaseException as error:  # noqa: BLE001  # the user's code may raise anything
            outcome = command_failed(name, error)
        self._send(number, outcome, began, True)

    def _out_of_memory(self, name: str, error: MemoryError, outcome: Outcome) -> OutOfMemory:
        return out_of_memory(name, error, outcome, self._settings.memory_bytes)

    def _send(
        self, number: int, outcome: Answer | PythonPoolError, began: float, is_clean: bool
    ) -> None:
        run_us = microseconds(time.monotonic() - began)
        flags = 0 if is_clean else RETIRE
        if isinstance(outcome, Answer):
            flags |= OCTETS if outcome.octets else 0
            head = RESULT_HEAD.pack(flags, run_us, len(outcome.body))
            self._channel.send_body(Kind.RESULT, number, head, outcome.body)
        else:
            self._channel.send(frame(Kind.ERROR, number, error_payload(outcome, flags, run_us)))
