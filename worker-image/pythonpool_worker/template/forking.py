"""The template's loop: one fork for each message of the keeper."""

import json
import os
import socket
import sys

from pythonpool.adapter import Adapter
from pythonpool_worker.template.child import Ends, await_adoption, become_executor
from pythonpool_worker.template.worker import Worker

_PACKET = 65_536
_DESCRIPTORS = 4


def serve_forks(worker: Worker, adapter: Adapter, keeper: socket.socket) -> None:
    """Fork executors until the keeper's end closes."""
    keeper_pid = os.getppid()
    while True:
        data, descriptors, _, _ = socket.recv_fds(keeper, _PACKET, _DESCRIPTORS)
        if not data:
            return
        try:
            _fork_twice(worker, adapter, keeper, keeper_pid, json.loads(data)["id"], descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _fork_twice(
    worker: Worker,
    adapter: Adapter,
    keeper: socket.socket,
    keeper_pid: int,
    executor_id: int,
    descriptors: list[int],
) -> None:
    """The executor's parent ends at once, so that the executor becomes the keeper's child.

    The parent names the executor's pid before it ends: the keeper never sees a child that it
    has not been told of.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        middle = os.fork()
    except OSError as error:
        _say(keeper, {"t": "not_forked", "id": executor_id, "reason": str(error)})
        return
    if middle:
        os.waitpid(middle, 0)
        return
    try:
        _in_the_middle(worker, adapter, keeper, keeper_pid, executor_id, descriptors)
    finally:
        os._exit(1)


def _in_the_middle(
    worker: Worker,
    adapter: Adapter,
    keeper: socket.socket,
    keeper_pid: int,
    executor_id: int,
    descriptors: list[int],
) -> None:
    try:
        executor = os.fork()
    except OSError as error:
        _say(keeper, {"t": "not_forked", "id": executor_id, "reason": str(error)})
        return
    if executor:
        _say(keeper, {"t": "forked", "id": executor_id, "pid": executor})
        os._exit(0)
    keeper.close()
    await_adoption(keeper_pid)
    become_executor(worker, adapter, Ends(*descriptors), keeper_pid)


def _say(keeper: socket.socket, message: dict[str, object]) -> None:
    keeper.send(json.dumps(message).encode())
