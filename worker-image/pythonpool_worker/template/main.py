"""The template's life: import, start, say what it offers, fork until the keeper is gone."""

import faulthandler
import gc
import json
import os
import socket
import traceback
from pathlib import Path
from typing import Any

from pythonpool.adapter import Adapter
from pythonpool.sdk.commands import catalogue, commands_of
from pythonpool_worker import linux
from pythonpool_worker.executor import preload_loops
from pythonpool_worker.template.forking import serve_forks
from pythonpool_worker.template.safety import why_not_forked
from pythonpool_worker.template.worker import Worker, load, read_worker, why_not_started

# Beside it in a packet of 64 KiB there must be room for the rest of the message.
_MAX_INLINE_CATALOGUE = 60 * 1024


def main(arguments: list[str]) -> int:
    """`FILE WORKER SOCKET`: the worker.json, the worker's name, the inherited template socket."""
    faulthandler.enable(file=2)
    faulthandler.register(linux.STACK_SIGNAL, file=2, all_threads=True, chain=False)
    keeper = socket.socket(fileno=int(arguments[2]))
    keeper.set_inheritable(False)
    worker = read_worker(Path(arguments[0]), arguments[1])
    if worker.one_machine:
        linux.die_with_parent()
    try:
        adapter = load(worker)
        adapter.start()
        rows = catalogue(adapter)
        preload_loops(commands_of(type(adapter)).values())
    except BaseException as error:  # noqa: BLE001 - whatever user code raised is the answer
        traceback.print_exc()
        _say(keeper, {"t": "failed", "reason": why_not_started(error)})
        return 1
    why = _why_spawned(adapter, keeper)
    _say_ready(keeper, worker, rows, why)
    if why is None:
        gc.collect()
        gc.freeze()
        serve_forks(worker, adapter, keeper)
    return 0


def _why_spawned(adapter: Adapter, keeper: socket.socket) -> str | None:
    sockets = [number for number in linux.sockets_of_this_process() if number != keeper.fileno()]
    return why_not_forked(linux.threads_of_this_process(), sockets, adapter.fork)


def _say_ready(
    keeper: socket.socket, worker: Worker, rows: list[dict[str, Any]], why: str | None
) -> None:
    text = json.dumps(rows, separators=(",", ":")).encode()
    message: dict[str, Any] = {
        "t": "ready",
        "catalogue": rows,
        "adapter": worker.adapter,
        "fork": why is None,
        "why_spawned": why,
    }
    if len(text) <= _MAX_INLINE_CATALOGUE:
        _say(keeper, message)
        return
    memory = os.memfd_create("catalogue")
    with open(memory, "wb", closefd=False) as file:
        file.write(text)
    socket.send_fds(keeper, [json.dumps(message | {"catalogue": None}).encode()], [memory])
    os.close(memory)


def _say(keeper: socket.socket, message: dict[str, Any]) -> None:
    keeper.send(json.dumps(message, separators=(",", ":")).encode())
