"""`python -m pythonpool_worker.agent`: read the settings, serve until SIGTERM, drain, exit."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from pythonpool.clock import SystemClock, timestamp
from pythonpool.names import new_incarnation
from pythonpool_worker.agent.drain import drained
from pythonpool_worker.agent.logs import start_logs
from pythonpool_worker.agent.notify import Notices
from pythonpool_worker.agent.probes import Probes
from pythonpool_worker.agent.settings import Identity, WorkerFile, read_worker_file
from pythonpool_worker.agent.worker import Surroundings, Worker

_log = logging.getLogger("pythonpool.agent")


def main() -> int:
    """Run one agent; the exit code is 0 after a drain, 2 for a wrong start."""
    asked = _arguments()
    try:
        file = read_worker_file(asked.config)
        secret = _read_all(asked.secret_fd)
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"pythonpool agent: {asked.config}: {error!r}") from error
    start_logs(file.worker)
    return asyncio.run(_serve(asked, file, secret))


async def _serve(asked: argparse.Namespace, file: WorkerFile, secret: str) -> int:
    should_drain, should_stop, deserted = asyncio.Event(), asyncio.Event(), asyncio.Event()
    _on_signals(should_drain, should_stop)
    clock = SystemClock()
    identity = Identity(file.pool, file.worker, new_incarnation(), timestamp(clock.time()))
    around = Surroundings(
        tuple(asked.router), secret, Notices(asked.notify_fd, identity.incarnation)
    )
    worker = Worker(file, identity, around, clock)
    probes = Probes(lambda: worker.state, lambda: worker.was_ready)
    if asked.probe:
        await probes.start(asked.probe)
    worker.begin()
    _on_desertion(worker, should_drain, deserted)
    draining = asyncio.create_task(_drain_when_told(worker, should_drain, deserted))
    stopping = asyncio.create_task(should_stop.wait())
    await asyncio.wait([draining, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, stopping):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    worker.control.send({"t": "stop"})
    await worker.links.close()
    worker.control.close()
    await probes.close()
    return 0


async def _drain_when_told(worker: Worker, told: asyncio.Event, deserted: asyncio.Event) -> None:
    await told.wait()
    await drained(worker, deserted)


def _on_signals(should_drain: asyncio.Event, should_stop: asyncio.Event) -> None:
    """The first SIGTERM drains; a second one, or SIGINT, ends at once."""
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        (should_stop if should_drain.is_set() else should_drain).set()

    actions: dict[int, Callable[[], None]] = {
        signal.SIGTERM: terminate,
        signal.SIGINT: should_stop.set,
    }
    for number, action in actions.items():
        loop.add_signal_handler(number, action)


def _on_desertion(worker: Worker, should_drain: asyncio.Event, deserted: asyncio.Event) -> None:
    """SIGUSR1 drains too, but sessions are not waited for: their callers can not come any more."""

    def desert() -> None:
        deserted.set()
        should_drain.set()
        worker.changed.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, desert)


def _read_all(descriptor: int | None) -> str:
    if descriptor is None:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode().strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pythonpool_worker.agent", allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="worker.json")
    parser.add_argument(
        "--router", action="append", default=[], help="unix:PATH of a router's link; many"
    )
    parser.add_argument("--secret-fd", type=int, help="the link's secret is read from it")
    parser.add_argument("--notify-fd", type=int, help="states are written to it, a line each")
    parser.add_argument("--probe", help="unix:PATH or tcp:HOST:PORT for /livez, /readyz, /startupz")
    return parser.parse_args()
