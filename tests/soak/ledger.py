"""The adapter of the soak: every call is journalled, then goes wrong in the way it was asked to.

Config: `{"journal": PATH}`. One write with O_APPEND for each line, so that lines never mix.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from examples.troubles import Troubles
from pythonpool import Context, command

Shape = Literal[
    "sleep",
    "spin",
    "swallow",
    "gil",
    "raise",
    "exit",
    "kill",
    "stop",
    "hog",
    "flood",
    "spawn",
    "threads",
    "large",
    "c-call",
    "deaf",
    "child",
    "setsid",
    "daemon",
]


class Ledger(Troubles):
    """Commands that leave a line when they start and one when they end."""

    def open(self) -> None:
        """Open the journal."""
        super().open()
        path = self.config["journal"]
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self.journal_file = os.open(path, flags, 0o600)
        self.starts_file = os.open(f"{path}.starts", flags, 0o600)

    @command
    def work(
        self,
        context: Context,
        nonce: str,
        shape: Shape = "sleep",
        seconds: float = 0.0,
        ballast: str = "",
    ) -> dict[str, Any]:
        """Do one thing of one shape; `seconds` bounds those that end by themselves.

        `ballast` makes the request long.
        """
        with self._journalled(context, nonce):
            context.progress(0.0, pid=os.getpid())
            text = self._act(shape, seconds)
            context.progress(1.0)
        return {"nonce": nonce, "pid": os.getpid(), "text": text}

    @command
    def quick(self, number: int, seconds: float = 0.0) -> int:
        """Note the start in eight bytes, sleep, return the number."""
        os.write(self.starts_file, number.to_bytes(8, "little"))
        if seconds:
            time.sleep(seconds)
        return number

    @command(idempotent=True)
    def again(
        self,
        context: Context,
        nonce: str,
        shape: Shape = "sleep",
        seconds: float = 0.0,
        ballast: str = "",
    ) -> dict[str, Any]:
        """The same; may be run again when its process died."""
        return self.work(context, nonce, shape, seconds, ballast)

    @command
    def tally(
        self,
        context: Context,
        nonce: str,
        shape: Shape = "sleep",
        seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Count in the session's state; the shape comes after the counting."""
        assert context.session is not None
        with self._journalled(context, nonce):
            count = int(context.session.state.get("count", 0)) + 1
            context.session.state["count"] = count
            self._act(shape, seconds)
        return {"nonce": nonce, "pid": os.getpid(), "count": count}

    def _act(self, shape: Shape, seconds: float) -> str:
        match shape:
            case "sleep" | "threads":
                if shape == "threads":
                    self.leave_threads(2)
                time.sleep(seconds)
            case "spin":
                self.spin(seconds)
            case "swallow":
                self.swallow(600.0)
            case "gil":
                self.gil_call(60)
            case "raise":
                raise ValueError("on purpose")
            case "exit":
                self.exit(3, hard=True)
            case "kill":
                self.kill_self()
            case "stop":
                self.stop_self()
            case "hog":
                self.allocate(4096, 2.0)
            case "flood":
                self.flood(4)
            case "spawn":
                self._leave_children(seconds)
            case "c-call":
                self.c_call()
            case "deaf":
                self.ignore_sigterm(600.0)
            case "child":
                self.spawn_and_wait("plain")
            case "setsid" | "daemon":
                self.spawn_and_wait(shape)
            case "large":
                return "x" * 1_000_000
        return ""

    def _leave_children(self, seconds: float) -> None:
        for is_apart in (False, True):
            subprocess.Popen(["sleep", "600"], start_new_session=is_apart)
        time.sleep(seconds)

    @contextmanager
    def _journalled(self, context: Context, nonce: str) -> Iterator[None]:
        self._write(context, nonce, is_end=False)
        try:
            yield
        finally:
            self._write(context, nonce, is_end=True)

    def _write(self, context: Context, nonce: str, *, is_end: bool) -> None:
        session = context.session
        line = {
            "is_end": is_end,
            "id": context.call_id,
            "nonce": nonce,
            "worker": context.worker,
            "pid": os.getpid(),
            "at": time.monotonic(),
            "count": session.state.get("count") if session is not None and is_end else None,
        }
        os.write(self.journal_file, b"\n" + json.dumps(line).encode() + b"\n")
