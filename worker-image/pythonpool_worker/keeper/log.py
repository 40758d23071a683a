"""The keeper's log: one JSON object a line on stdout, which never blocks the keeper."""

import fcntl
import json
import os
import time
from collections import deque
from typing import Any

from pythonpool_worker.keeper.loop import Loop

MAX_WAITING_BYTES = 1_000_000


class Log:
    """Writes lines; when the reader is slow it keeps 1 MB of them, and then drops and counts."""

    def __init__(self, loop: Loop, pool: str, worker: str, descriptor: int = 1) -> None:
        self._loop = loop
        self._worker = {"pool": pool, "worker": worker}
        self._fd = _never_blocking(descriptor)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped_bytes = 0

    def say(self, level: str, event: str, **fields: Any) -> None:
        """One line. `level` is info, warning or error; `event` names what happened."""
        line = {"ts": _timestamp(time.time()), "level": level, "event": event}
        data = json.dumps(line | self._worker | fields, ensure_ascii=False) + "\n"
        self._put(data.encode(errors="replace"))

    def flush(self) -> None:
        """Write what the reader takes now."""
        try:
            while self._waiting:
                written = os.write(self._fd, self._waiting[0])
                self._waiting_bytes -= written
                if written < len(self._waiting[0]):
                    self._waiting[0] = self._waiting[0][written:]
                else:
                    self._waiting.popleft()
        except BlockingIOError:
            self._loop.write(self._fd, self.flush)
            return
        except OSError:
            # Nobody reads any more; work goes on without a log.
            self._waiting.clear()
            self._waiting_bytes = 0
        self._loop.forget_writer(self._fd)
        self._say_dropped()

    def _put(self, data: bytes) -> None:
        if self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
            self._dropped_bytes += len(data)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if len(self._waiting) == 1:
            self.flush()

    def _say_dropped(self) -> None:
        dropped, self._dropped_bytes = self._dropped_bytes, 0
        if dropped:
            self.say("warning", "log_dropped", message=f"{dropped} bytes dropped", bytes=dropped)


def _never_blocking(descriptor: int) -> int:
    """A copy of the descriptor that does not block, where the system gives one.

    Opened anew, because O_NONBLOCK on the old one would hold for all processes that share it.
    """
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:
        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
        os.set_blocking(copy, False)
        return copy


def _timestamp(seconds: float) -> str:
    millis = int(seconds % 1 * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{millis:03d}Z"
