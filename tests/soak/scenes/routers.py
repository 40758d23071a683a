"""Routers are lost: one stands still for 20 s, one is killed every 10 s under 100 sessions."""

import asyncio
import os
import signal
import time

from soak.callers import Target
from soak.history import Pause, Strike
from soak.stage import Stage, only
from soak.strikes import BACK_SECONDS

_FROZEN_SECONDS = 20.0
_AROUND_SECONDS = 3.0
_SILENCE_SECONDS = 9.0
_CALLERS = 8
_SESSIONS = 100
_KILL_EVERY_SECONDS = 10.0
_KILLS = 6
_LOST = ("session_lost", "session_not_found", "session_expired")


async def frozen(stage: Stage) -> list[str]:
    """One of two routers stands still and is let go: the other's callers do not notice."""
    ground = stage.ground
    seconds = stage.scaled(_FROZEN_SECONDS, 7.0)
    around = stage.scaled(_AROUND_SECONDS, 1.0)
    end = time.monotonic() + seconds + 2 * around
    first = len(stage.log.sent)
    async with asyncio.TaskGroup() as group:
        for index in (0, 1):
            for number in range(_CALLERS):
                name = f"router{index}-{number}"
                group.create_task(_call_until(stage, name, ground.router(index), end))
        await asyncio.sleep(around)
        began = time.monotonic()
        pid = _router_pid(stage, 0)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
    ended = time.monotonic()
    # Only the frozen router's own callers may have noticed.
    others = [call for call in stage.log.sent[first:] if call.nonce.startswith("router1")]
    own = [call for call in stage.log.sent[first:] if call.nonce.startswith("router0")]
    slow = [
        call
        for call in others
        if call.answered - call.sent - stage.stalled(call.sent, call.answered) > 3.0
    ]
    stage.strikes.pauses.append(Pause(began, ended, "a router stood still"))
    stage.strikes.struck.append(Strike(began, ended + _SILENCE_SECONDS, "a router stood still"))
    stage.figures |= {
        "frozen_s": seconds,
        "others": len(others),
        "own": len(own),
        "own_failed": sum(call.code != "ok" for call in own),
    }
    wrong = only(others, "ok") + only(own, "ok", "worker_crashed", "timeout", "resource_exhausted")
    return wrong + [f"{call.nonce} took {call.answered - call.sent:.2f} s" for call in slow]


async def _call_until(stage: Stage, name: str, target: Target, end: float) -> None:
    caller = stage.caller(name, target)
    while time.monotonic() < end:
        await caller.work("sleep", caller.chance.uniform(0.0, 0.1), 5.0)
    await caller.close()


async def killed(stage: Stage) -> list[str]:
    """A router dies every 10 s under 100 sessions: none is lost, each goes on where it was."""
    kills = round(stage.scaled(_KILLS, 1))
    sessions = round(stage.scaled(_SESSIONS, 24))
    gap = stage.scaled(_KILL_EVERY_SECONDS, 2.5)
    end = time.monotonic() + gap * (kills + 1)
    first = len(stage.log.sent)
    wrong: list[str] = []
    opened = asyncio.Semaphore(8)
    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(_hold(stage, number, opened, end, wrong))
        for number in range(kills):
            await asyncio.sleep(gap)
            now = time.monotonic()
            pid = _router_pid(stage, number % 2)
            os.kill(pid, signal.SIGKILL)
            stage.say(f"killed router {number % 2}, pid {pid}")
            stage.strikes.pauses.append(Pause(now, now + BACK_SECONDS, "a router was killed"))
    await stage.ground.delete_sessions()
    sent = stage.log.sent[first:]
    stage.figures |= {
        "kills": kills,
        "sessions": sessions,
        "calls": len(sent),
        "reset": sum(call.code == "reset" for call in sent),
        "lost": sum(call.code in _LOST for call in sent),
    }
    return wrong + only(sent, "ok", "reset", "resource_exhausted")


async def _hold(
    stage: Stage, number: int, opened: asyncio.Semaphore, end: float, wrong: list[str]
) -> None:
    caller = stage.caller(f"holder{number}")
    async with opened:
        handle = await caller.open(ttl_seconds=600)
    if handle is None:
        if not stage.log.opens.get("reset"):
            wrong.append(f"session {number} could not be opened: {stage.log.opens}")
        return
    while time.monotonic() < end:
        sent = await caller.tally(handle, f"session{number}", "sleep", 0.01, 5.0)
        if sent.code in _LOST:
            return
        await asyncio.sleep(caller.chance.uniform(0.5, 1.0))
    await caller.delete(handle)
    await caller.close()


def _router_pid(stage: Stage, index: int) -> int:
    pid: int = stage.ground.house.record("up.json")["routers"][index]["pid"]
    return pid
