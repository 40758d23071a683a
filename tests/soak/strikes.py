"""Carries a schedule of faults out on one `up`, and notes what each may excuse."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from soak.callers import Log
from soak.family import of_role, worker_of
from soak.faults import Fault, Role
from soak.ground import Ground
from soak.history import Pause, Strike
from soak.linkproxy import LinkProxy
from soak.load import wave

BACK_SECONDS = 5.0
"""API.md 4: a router that dies is back on its socket within it."""

TOLD_SECONDS = 1.0
"""How soon the callers of what was killed know."""

_SILENCE_SECONDS = 9.0
"""A link that brings nothing is broken after 6 s, looked at every 2 s; and a second."""

_DRAIN_SECONDS = 9.0
"""A worker is replaced, then drains for 5 s."""

_DELAY_SECONDS = 0.05
_WAVE_CALLERS = 150

_Any = TypeVar("_Any")


@dataclass(slots=True)
class Strikes:
    """Does what the schedule says.

    Attributes:
        ground: the `up`.
        log: of the callers that come in waves.
        report: is told each fault as it is done.
        pauses: when something stood still, so far.
        struck: from when to when each fault may hit calls and sessions.
    """

    ground: Ground
    log: Log
    report: Callable[[str], None]
    pauses: list[Pause] = field(default_factory=list)
    struck: list[Strike] = field(default_factory=list)

    async def carry_out(self, faults: Sequence[Fault], began: float) -> None:
        """All of them, in time; returns when the last one is over."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
                group.create_task(self._strike(fault))

    async def _strike(self, fault: Fault) -> None:
        if fault.target == "link":
            self._may_hit(fault, fault.seconds + _SILENCE_SECONDS)
            self.report(str(fault))
            await self._on_link(fault, _chosen(self.ground.proxies, fault.choice))
        elif fault.target == "callers":
            self.report(str(fault))
            name = f"wave{fault.at:.2f}"
            plan = self.ground.plan
            await wave(name, self.ground.target, self.log, _WAVE_CALLERS, plan)
        elif fault.target == "spec":
            self._may_hit(fault, _DRAIN_SECONDS, only_sessions=True)
            self.report(str(fault))
            self.ground.change_spec(str(fault.choice))
        elif fault.target == "worker":
            self._may_hit(fault, _DRAIN_SECONDS, only_sessions=True)
            self.report(f"{fault}: {await self.ground.recycle(fault.choice)}")
        else:
            await self._on_role(fault, fault.target)

    def _may_hit(
        self,
        fault: Fault,
        seconds: float,
        *,
        worker: str | None = None,
        pid: int | None = None,
        only_sessions: bool = False,
    ) -> None:
        now = time.monotonic()
        self.struck.append(Strike(now, now + seconds, str(fault), worker, pid, only_sessions))

    async def _on_role(self, fault: Fault, role: Role) -> None:
        pids = of_role(self.ground.root, role)
        if not pids:
            self.report(f"{fault}: there is none")
            return
        pid = _chosen(pids, fault.choice)
        self.report(f"{fault}: pid {pid}")
        seconds = TOLD_SECONDS if fault.kind == "kill" else fault.seconds + _SILENCE_SECONDS
        own = pid if role in ("executor", "template") else None
        self._may_hit(fault, seconds, worker=worker_of(pid), pid=own)
        with contextlib.suppress(ProcessLookupError):
            await self._on_process(fault, pid)

    async def _on_process(self, fault: Fault, pid: int) -> None:
        now = time.monotonic()
        if fault.kind == "kill":
            os.kill(pid, signal.SIGKILL)
            if fault.target == "router":
                self.pauses.append(Pause(now, now + BACK_SECONDS, str(fault)))
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if fault.target in ("agent", "router", "keeper"):
            ended = time.monotonic() + 0.5
            only_kills = fault.target != "router"
            self.pauses.append(Pause(now, ended, str(fault), only_kills=only_kills))

    async def _on_link(self, fault: Fault, proxy: LinkProxy) -> None:
        now, more = time.monotonic(), 0.0
        match fault.kind:
            case "reset":
                proxy.reset()
                return
            case "halve":
                proxy.halve()
                return
            case "cut":
                proxy.is_cut = True
                proxy.reset()
                await asyncio.sleep(fault.seconds)
                proxy.is_cut = False
                return
            case "swallow":
                proxy.swallows, more = True, _SILENCE_SECONDS
                await asyncio.sleep(fault.seconds)
                proxy.swallows = False
                proxy.reset()
            case _:
                proxy.delay_seconds, more = _DELAY_SECONDS, 1.0
                await asyncio.sleep(fault.seconds)
                proxy.delay_seconds = 0.0
        self.pauses.append(Pause(now, time.monotonic() + more, str(fault), only_kills=True))


def _chosen(among: Sequence[_Any], choice: float) -> _Any:
    return among[min(int(choice * len(among)), len(among) - 1)]
