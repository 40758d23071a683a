"""Sessions, timeouts, kills: what a caller sees of each, in milliseconds."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures import Row, spread
from bench.local import Caller, up
from bench.manifests import execute, manifest
from bench.processes import wait_until
from bench.registry import Effort

_ECHO = execute("echo")
_NAMES = {
    "call": "one call, one at a time",
    "session": "session create",
    "timeout-answer": "deadline to the answer 504",
    "timeout-slot": "that answer to the slot's next answer",
    "kill-error": "kill -9 of an executor to the answer 502",
    "kill-next": "that answer to the next answer, by the standby",
    "kill-standby": "the same, over an ordinary call of the same round",
    "kill-fork": "kill -9 of an executor and then its standby to the next answer, by a fork",
}


def measure(folder: Path, effort: Effort) -> list[Row]:
    """One worker of one slot."""
    rounds = effort.rounds if effort.is_quick else 3 * effort.rounds
    spec = "  replicas: 1\n  concurrency: 1\n  sessions:\n    maxPerWorker: 64\n"
    timed: dict[str, list[float]] = {name: [] for name in _NAMES}
    with up(folder / "ends", manifest(folder / "ends", spec), _ECHO) as home:
        caller = home.caller()
        timed["call"] = [_ms(lambda: caller.call(_ECHO)) for _ in range(rounds * 20)]
        timed["session"] = [_settled(lambda: _session(caller)) for _ in range(rounds * 4)]
        for _ in range(rounds):
            late, following = _timeout(caller)
            timed["timeout-answer"].append(late)
            timed["timeout-slot"].append(following)
        for _ in range(rounds):
            ordinary = _ms(lambda: caller.call(_ECHO))
            error, following = _killed(home.caller(), caller)
            timed["kill-error"].append(error)
            timed["kill-next"].append(following)
            timed["kill-standby"].append(following - ordinary)
        timed["kill-fork"] = [_settled(lambda: forked_ms(caller)) for _ in range(rounds)]
    return [Row(f"ends.{name}", f"{_NAMES[name]}, ms", spread(v)) for name, v in timed.items()]


def _ms(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return (time.monotonic() - began) * 1e3


def _settled(action: Callable[[], float]) -> float:
    """After a while in which a standby has been renewed."""
    time.sleep(0.15)
    return action()


def _session(caller: Caller) -> float:
    made: list[str] = []
    took = _ms(lambda: made.append(caller.call("/v1/sessions", {"pool": "bench"})["session_id"]))
    caller.ask("DELETE", f"/v1/sessions/{made[0]}")
    return took


def _timeout(caller: Caller) -> tuple[float, float]:
    def overrun() -> None:
        status, said = caller.ask("POST", execute("spin") + "?timeout=0.2", {})
        assert status == 504, said

    return _ms(overrun) - 200, _ms(lambda: caller.call(_ECHO))


def _killed(other: Caller, caller: Caller) -> tuple[float, float]:
    victim = int(caller.call(execute("pid")))
    ended = threading.Event()
    moments: list[float] = []

    def wait_for_error() -> None:
        other.ask("POST", execute("spin"), {})
        moments.append(time.monotonic())
        ended.set()

    threading.Thread(target=wait_for_error).start()
    busy = "/v1/pools/bench"
    wait_until(lambda: _busy(caller, busy), 5, "the call runs")
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    ended.wait(10)
    following = _ms(lambda: caller.call(_ECHO))
    time.sleep(0.2)
    return (moments[0] - began) * 1e3, following


def _busy(caller: Caller, path: str) -> bool:
    return bool(caller.ask("GET", path)[1]["busy"] == 1)


def forked_ms(caller: Caller) -> float:
    """Kill the executor, and the standby as soon as it has answered: a fork answers next.

    A standby that dies without having had a call would be started again more slowly, as one that
    can not start.
    """
    _kill(caller)
    began = _kill(caller)
    _until_answered(caller, _ECHO)
    return (time.monotonic() - began) * 1e3


def _kill(caller: Caller) -> float:
    os.kill(int(_until_answered(caller, execute("pid"))), signal.SIGKILL)
    return time.monotonic()


def _until_answered(caller: Caller, path: str) -> Any:
    while True:
        status, value = caller.ask("POST", path, {})
        if status == 200:
            return value
