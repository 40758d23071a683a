"""The router's program: settings, signals, and the event loop."""

import asyncio
import signal
import traceback
from typing import Any

from pythonpool.messages import keep_buffers_in_heap
from pythonpool.turns import TurnLoop
from pythonpool_router.cold.app import create_app, create_monitoring_app
from pythonpool_router.logs import Logger
from pythonpool_router.router import Router
from pythonpool_router.settings import Settings, parse_settings

_log = Logger()


async def serve(settings: Settings) -> None:
    """Run one router until SIGTERM or SIGINT.

    Raises:
        OSError, ValueError: it can not start.
    """
    router = Router(settings, create_app, create_monitoring_app)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_tell_fault)
    loop.add_signal_handler(signal.SIGTERM, router.stop)
    loop.add_signal_handler(signal.SIGINT, router.stop)
    loop.add_signal_handler(signal.SIGHUP, router.read_pools)
    await router.start()
    await router.run()


def _tell_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Asyncio would write it to its own log, and in more than one line."""
    fault = context.get("exception")
    text = "".join(traceback.format_exception(fault)).rstrip() if fault is not None else None
    _log.error(context["message"], exception=text)


def main() -> int:
    """Exit code 0 after a drain, 1 when it could not start."""
    settings = parse_settings()
    keep_buffers_in_heap()
    try:
        with asyncio.Runner(loop_factory=TurnLoop) as runner:
            runner.run(serve(settings))
    except (OSError, ValueError) as error:
        _log.error("the router can not start", reason=str(error))
        return 1
    return 0
