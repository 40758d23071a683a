"""`python -m pythonpool_worker.agent`: read the settings, serve until SIGTERM, drain, exit."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pythonpool.clock import SystemClock, timestamp
from pythonpool.descriptors import allow_many
from pythonpool.messages import keep_buffers_in_heap
from pythonpool.names import new_incarnation
from pythonpool.turns import TurnLoop
from pythonpool_worker.agent.addresses import is_address, place_of
from pythonpool_worker.agent.credentials import Credential, Secret, TokenFile
from pythonpool_worker.agent.dialling import Dialler
from pythonpool_worker.agent.drain import drained
from pythonpool_worker.agent.lastwords import last_words
from pythonpool_worker.agent.logs import start_logs
from pythonpool_worker.agent.notify import Notices
from pythonpool_worker.agent.probes import Probes
from pythonpool_worker.agent.recycle import InPlace
from pythonpool_worker.agent.settings import Identity, WorkerFile, read_worker_file
from pythonpool_worker.agent.worker import Surroundings, Worker

_log = logging.getLogger("pythonpool.agent")


def main() -> int:
    """Run one agent; the exit code is 0 after a drain, 1 when a pod's worker can not start,
    2 for a wrong start."""
    asked = _arguments()
    try:
        file = read_worker_file(asked.config, asked.worker)
        credential = _credential(asked)
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"pythonpool agent: {asked.config}: {error!r}") from error
    keep_buffers_in_heap()
    allow_many()
    start_logs(file.worker)
    with asyncio.Runner(loop_factory=TurnLoop) as runner:
        return runner.run(_serve(asked, file, credential))


async def _serve(asked: argparse.Namespace, file: WorkerFile, credential: Credential) -> int:
    should_drain, should_stop, deserted = asyncio.Event(), asyncio.Event(), asyncio.Event()
    _on_signals(should_drain, should_stop)
    clock = SystemClock()
    identity = Identity(file.pool, file.worker, new_incarnation(), timestamp(clock.time()))
    notices = Notices(asked.notify_fd, identity.incarnation)
    in_place = None if file.one_machine else InPlace(should_drain.set, file.recycles_in_place)
    around = Surroundings(tuple(asked.router), _dialler(asked), credential, notices, in_place)
    worker = Worker(file, identity, around, clock)
    probes = Probes(lambda: worker.state, lambda: worker.was_ready)
    if asked.probe:
        await probes.start(asked.probe)
    worker.begin()
    _on_desertion(worker, should_drain, deserted)
    draining = asyncio.create_task(_drain_when_told(worker, should_drain, deserted))
    stopping = asyncio.create_task(should_stop.wait())
    ends: list[asyncio.Future[Any]] = [draining, stopping, worker.could_not_start]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, stopping):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    worker.control.send({"t": "stop"})
    await worker.links.close()
    worker.control.close()
    await probes.close()
    if worker.could_not_start.done():
        last_words("CannotStart", worker.could_not_start.result())
        return 1
    return 0


def _credential(asked: argparse.Namespace) -> Credential:
    if asked.token_file is not None:
        return TokenFile(asked.token_file)
    return Secret(_read_all(asked.secret_fd))


def _dialler(asked: argparse.Namespace) -> Dialler:
    """The name in the routers' certificates is that of the Service which was named first."""
    places = [place for address in asked.router if (place := place_of(address)) is not None]
    return Dialler(asked.ca_file, places[0].host if places else None)


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
    add = parser.add_argument
    add("--config", type=Path, required=True, help="worker.json")
    add("--worker", help="the worker's name, when it is not in worker.json")
    add(
        "--router",
        action="append",
        default=[],
        type=_address,
        help="unix:PATH of a router's link, or tls:HOST:PORT of all routers; many",
    )
    add("--secret-fd", type=int, help="the link's secret is read from it")
    add("--token-file", type=Path, help="instead of the secret: the pod's token")
    add("--ca-file", type=Path, help="the authority of the routers' certificates")
    add("--notify-fd", type=int, help="states are written to it, a line each")
    add("--probe", help="unix:PATH or tcp:HOST:PORT for /livez, /readyz, /startupz")
    return parser.parse_args()


def _address(text: str) -> str:
    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be unix:PATH or tls:HOST:PORT")
    return text
