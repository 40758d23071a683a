"""The agent of one worker: its parts put together, and its state.

Starting until the executors are there, then ready; failed while they can not be made; draining
after SIGTERM. Routers are dialled when it is ready for the first time.
"""

import asyncio
import gc
import itertools
import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from pythonpool.clock import Clock
from pythonpool.messages import Kind
from pythonpool_worker.agent.asks import Asks
from pythonpool_worker.agent.credentials import Credential
from pythonpool_worker.agent.dialling import Dialler
from pythonpool_worker.agent.endings import Endings
from pythonpool_worker.agent.executors import Executors
from pythonpool_worker.agent.frames import Frames
from pythonpool_worker.agent.intake import Intake
from pythonpool_worker.agent.keeper_control import KeeperControl
from pythonpool_worker.agent.keeper_events import Catalogue, KeeperEvents
from pythonpool_worker.agent.lastwords import with_last_line
from pythonpool_worker.agent.link import Link
from pythonpool_worker.agent.links import Links
from pythonpool_worker.agent.notify import Notices
from pythonpool_worker.agent.openings import Openings
from pythonpool_worker.agent.recycle import InPlace, Recycling
from pythonpool_worker.agent.running import Running
from pythonpool_worker.agent.sessions import Sessions
from pythonpool_worker.agent.settings import Identity, WorkerFile
from pythonpool_worker.agent.slots import Slots
from pythonpool_worker.agent.status import hello_frame
from pythonpool_worker.agent.timers import Timers
from pythonpool_worker.agent.warmup import WarmUp

_log = logging.getLogger("pythonpool.agent")

_SHORT_OF_MEMORY_PERCENT = 90
_BUSY_NEWS_SECONDS = 0.05
_STALL_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the worker is connected to.

    Attributes:
        routers: their addresses; `links.py` finds more.
        dialler: reaches them.
        credential: what they know the pool by.
        notices: the supervisor's ear.
        in_place: how a pod starts again by itself.
    """

    routers: tuple[str, ...]
    dialler: Dialler
    credential: Credential
    notices: Notices
    in_place: InPlace | None = None


class Worker:
    """One worker's agent.

    Attributes:
        state: `starting`, `ready`, `draining` or `failed`.
        was_ready: it has been ready once.
        could_not_start: why, in a pod, where the kubelet is the one who tries again.
    """

    def __init__(
        self, file: WorkerFile, identity: Identity, around: Surroundings, clock: Clock
    ) -> None:
        self.state = "starting"
        self.was_ready = False
        self.settings = file.settings
        self.changed = asyncio.Event()
        self.could_not_start: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._identity = identity
        self._gives_up = not file.one_machine
        self._around = around
        self._clock = clock
        self._catalogue: Catalogue = []
        self._reason: str | None = None
        self._is_news_due = False
        self._build(file)
        self._connect()

    def _build(self, file: WorkerFile) -> None:
        settings, clock, identity = file.settings, self._clock, self._identity
        self.timers = timers = Timers(clock, self._arm)
        self.control = KeeperControl(
            file.folder / "keeper.sock",
            self._keeper_says,
            self._keeper_is_lost,
            is_shared=not file.one_machine,
        )
        self.slots: Slots[Link] = Slots(settings.slots, clock)
        self.slots.close()
        self.executors = executors = Executors(
            settings.slots, threads=settings.threads, timers=timers, tell=self.control.send
        )
        self.sessions = sessions = Sessions(settings, timers, clock)
        self.endings = endings = Endings(self.slots, executors, sessions, timers, clock)
        self._running = running = Running(
            settings, identity.incarnation, executors, sessions, endings, clock
        )
        numbers = partial(next, itertools.count(1))
        self._openings = openings = Openings(
            identity, settings, executors, sessions, running, endings, timers, clock, numbers
        )
        self.intake = intake = Intake(
            self.slots, executors, running, endings, sessions, openings, timers, clock, numbers
        )
        self._recycling = Recycling(
            settings, self._around.notices, timers, clock, in_place=self._around.in_place
        )
        self._recycling.on_wish = partial(self._say_busy, None)
        asks = Asks(sessions, self._recycling.asked)
        self._frames = Frames(settings, self.slots, intake, endings, sessions, asks, clock)
        self._keeper = KeeperEvents(
            executors, self._recycling, self._template_is_ready, self._failed, self._memory
        )
        self.links = Links(
            self._around.dialler,
            self._hello,
            self._frames.frame,
            self._link_is_open,
            self._link_is_lost,
        )

    def _connect(self) -> None:
        executors, sessions, frames = self.executors, self.sessions, self._frames
        executors.on_change = self._executors_changed
        executors.on_gone = sessions.executor_gone
        executors.on_unkillable = self._unkillable
        if self.settings.warmup:
            warm_up = WarmUp(self.settings, self.intake, self._running, partial(self._fail, log=""))
            executors.prepare = warm_up.prepare
        sessions.cancel = self.endings.cancel
        sessions.on_change = self._sessions_changed
        frames.on_ping = self._say_status
        frames.on_config = self._config
        frames.on_routers = self.links.told
        frames.on_line = self._busy_changed
        self.endings.on_call_over = self._call_is_over
        self.intake.on_call = self._busy_changed

    def begin(self) -> None:
        """Say that it is starting; from here on keeper and supervisor are served."""
        self._around.notices.state(self.state)
        self.timers.after(_STALL_LOOK_SECONDS, self._look_for_stalls)

    def drain(self) -> None:
        """Take no more calls but those of own sessions; say so everywhere."""
        self.intake.is_draining = True
        self.sessions.is_draining = True
        self._set_state("draining")
        self.links.send(Kind.DRAINING)

    def busy_now(self) -> int:
        """Calls whose answer is not out yet, and sessions' executors that are being closed."""
        return (
            self.slots.busy
            + sum(len(link.calls) for link in self.links.open)
            + self.executors.errands
        )

    def status(self, link: Link) -> dict[str, Any]:
        """What STATUS tells this router."""
        return {
            "state": self.state,
            "slots": self.slots.total,
            "busy": self.slots.busy,
            "yours": len(link.calls),
            **self.links.beside(link),
            "sessions": len(self.sessions),
            "session_room": self._openings.room,
            "memory_bytes": self._keeper.memory_bytes,
            "calls": self.endings.calls,
            "generation": self.settings.generation,
            "exits": self.executors.exits,
            "session_ends": self.sessions.ends,
            "started_at": self._identity.started_at,
            "replace": self._recycling.wish or None,
        }

    def _hello(self) -> bytes:
        identity = self._identity
        return hello_frame(
            {
                "pool": identity.pool,
                **self._around.credential.members(),
                "worker": identity.worker,
                "incarnation": identity.incarnation,
                "generation": self.settings.generation,
                "slots": self.settings.slots,
                "state": self.state,
                "pid": os.getpid(),
                "started_at": identity.started_at,
            },
            self._catalogue,
        )

    def _set_state(self, state: str, reason: str | None = None, log: str | None = None) -> None:
        if self.state == "draining" or (self.state, self._reason) == (state, reason):
            return
        self.state, self._reason = state, reason
        _log.info("%s%s", state, f": {reason}" if reason else "")
        self._around.notices.state(state, reason, log)
        for link in self.links.open:
            self._say_status(link)
        self.changed.set()

    def _link_is_open(self, link: Link) -> None:
        self._say_status(link)
        if self.state == "draining":
            link.send(Kind.DRAINING, 0)

        self._say_busy_to_others(link)

    def _link_is_lost(self, link: Link) -> None:
        self._frames.link_is_lost(link)
        self._say_busy_to_others(link)

    def _say_busy_to_others(self, link: Link) -> None:
        """There is one router more, or less: each has another share of the line."""
        for other in self.links.open:
            if other is not link:
                self._say_status(other)

    def _say_status(self, link: Link) -> None:
        link.send(Kind.STATUS, 0, orjson.dumps(self.status(link)))

    def _keeper_says(self, message: dict[str, Any], descriptor: int) -> None:
        self._keeper.message(message, descriptor)

    def _keeper_is_lost(self) -> None:
        _log.error("the keeper is gone")
        self.slots.close()
        self.executors.lose_all("unknown")
        self._set_state("starting")

    def _template_is_ready(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.executors.fill()

    def _failed(self, reason: str, log: str) -> None:
        """The keeper: the template, or an executor, could not start."""
        self._openings.refuse_waiting(reason)
        self._fail(reason, log)

    def _fail(self, reason: str, log: str) -> None:
        _log.error("%s", reason)
        if self.executors.ready == 0:
            self.slots.close()
            self._set_state("failed", reason, log)
            if self._gives_up and not self.was_ready and not self.could_not_start.done():
                self.could_not_start.set_result(with_last_line(reason, log))

    def _executors_changed(self) -> None:
        self.changed.set()
        if self.state not in ("starting", "failed") or not self.executors.is_enough:
            return
        if not self.was_ready:
            self.was_ready = True
            gc.collect()
            gc.freeze()
            self.links.dial(self._around.routers)
        self.slots.reopen()
        self._set_state("ready")
        self.endings.publish()

    def _unkillable(self, is_late: bool) -> None:
        if is_late:
            self.slots.lose_free()
        self._recycling.stuck()

    def _memory(self, used: int, limit: int | None) -> None:
        self._openings.is_short = bool(limit) and used * 100 > (limit or 0) * (
            _SHORT_OF_MEMORY_PERCENT
        )

    def _config(self, message: dict[str, Any]) -> None:
        if message["generation"] <= self.settings.generation:
            return
        settings = self.settings.with_live(message["generation"], message["spec"])
        self.settings = self._running.settings = self._frames.settings = settings
        self.sessions.settings = self._openings.settings = settings
        self._recycling.reconfigure(settings)
        self.executors.limit(settings.result_bytes, settings.state_bytes)
        _log.info("spec of generation %d taken over", settings.generation)

    def _call_is_over(self) -> None:
        self._recycling.counted(self.endings.calls)
        self.changed.set()
        self._busy_changed()

    def _sessions_changed(self) -> None:
        self._recycling.sessions(len(self.sessions))
        self.changed.set()
        # After the answer that this is part of, so that the numbers agree with it.
        asyncio.get_running_loop().call_soon(self._say_busy, None)

    def _busy_changed(self) -> None:
        if self.links.are_several and not self._is_news_due:
            self._is_news_due = True
            self.timers.after(_BUSY_NEWS_SECONDS, self._say_busy)

    def _say_busy(self, _: object) -> None:
        self._is_news_due = False
        for link in self.links.open:
            self._say_status(link)

    def _look_for_stalls(self, _: object) -> None:
        for link in self.links.open:
            self._frames.drop_stalled(link)
        self.timers.after(_STALL_LOOK_SECONDS, self._look_for_stalls)

    def _arm(self, when: float) -> None:
        loop = asyncio.get_running_loop()
        if self._wake is not None:
            self._wake.cancel()
        self._wake = loop.call_at(loop.time() + when - self._clock.monotonic(), self.timers.ring)

    _wake: asyncio.TimerHandle | None = None
