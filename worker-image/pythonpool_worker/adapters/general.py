"""The general pool's commands: is it alive, what does it get, a little arithmetic.

They need nothing but the standard library, so that they show what a pool itself costs.
"""

import os
import platform
import resource
import time
from importlib.metadata import version
from typing import Any, Literal

from pythonpool.adapter import Adapter, Context, command
from pythonpool.clock import timestamp
from pythonpool.sdk.commands import catalogue

Operation = Literal["add", "subtract", "multiply", "divide", "power", "modulo"]
Number = int | float


class General(Adapter):
    """Small commands for any pool."""

    @command(idempotent=True)
    def ping(self, context: Context) -> dict[str, Any]:
        """Whether the pool answers, and who did."""
        return {"status": "ok", "pool": context.pool, "worker": context.worker, "timestamp": _now()}

    @command(idempotent=True)
    def echo(self, /, **args: Any) -> dict[str, Any]:
        """The args, as they arrived."""
        return {"status": "ok", "echoed": args, "timestamp": _now()}

    @command(idempotent=True)
    def compute(self, operation: Operation, a: Number, b: Number) -> dict[str, Any]:
        """Arithmetic on two numbers; dividing by zero raises."""
        return {
            "status": "ok",
            "operation": operation,
            "inputs": {"a": a, "b": b},
            "result": _compute(operation, a, b),
            "timestamp": _now(),
        }

    @command(idempotent=True)
    def info(self, context: Context) -> dict[str, Any]:
        """What runs here: adapter, versions, platform, limits, commands."""
        return {
            "status": "ok",
            "adapter": "general",
            "pool": context.pool,
            "worker": context.worker,
            "versions": {"pythonpool": version("pythonpool"), "python": platform.python_version()},
            "platform": {
                "system": platform.system(),
                "release": platform.release(),
                "machine": platform.machine(),
                "implementation": platform.python_implementation(),
            },
            "limits": _limits(context),
            "commands": self._names(),
            "timestamp": _now(),
        }

    @command(idempotent=True)
    def list_commands(self) -> dict[str, Any]:
        """The commands of this adapter, each with its first line."""
        commands = [
            {"name": row["name"], "description": row["description"].partition("\n")[0]}
            for row in catalogue(self)
        ]
        return {"status": "ok", "commands": commands, "timestamp": _now()}

    def _names(self) -> list[str]:
        return [row["name"] for row in catalogue(self)]


def _now() -> str:
    return timestamp(time.time())


def _compute(operation: Operation, a: Number, b: Number) -> Any:
    match operation:
        case "add":
            return a + b
        case "subtract":
            return a - b
        case "multiply":
            return a * b
        case "divide":
            return a / b
        case "power":
            return a**b
        case "modulo":
            return a % b


def _limits(context: Context) -> dict[str, Any]:
    """What this process may use; None where there is no limit of its own."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": _soft(resource.RLIMIT_DATA),
        "open_files": _soft(resource.RLIMIT_NOFILE),
        "run_seconds": round(context.deadline - time.monotonic(), 3),
    }


def _soft(limit: int) -> int | None:
    soft, _ = resource.getrlimit(limit)
    return None if soft == resource.RLIM_INFINITY else soft
