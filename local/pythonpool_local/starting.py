"""From the command line to a running supervisor: the checks that come before any process."""

import asyncio
import os
import sys
from collections.abc import Callable

from pythonpool_local.console import Console
from pythonpool_local.home import Home, check_lengths, lock, prepare
from pythonpool_local.order import Order, read_orders
from pythonpool_local.refusal import USAGE, Refusal, of_os_error
from pythonpool_local.supervisor import Supervisor, UpOptions

LEAST_PYTHON = (3, 11)


def check_machine(platform: str, version: tuple[int, ...]) -> None:
    """See that this is Linux with a Python that is new enough.

    Raises:
        Refusal: it is not.
    """
    if platform != "linux":
        raise Refusal(
            f"pythonpool up needs Linux (WSL2 and Linux containers too), this is {platform}: "
            "use a cluster, or a Linux container",
            USAGE,
        )
    if version < LEAST_PYTHON:
        raise Refusal(
            f"pythonpool up needs Python 3.11 or newer, this is {version[0]}.{version[1]}: "
            "install a newer one",
            USAGE,
        )


async def _supervise(
    home: Home,
    options: UpOptions,
    console: Console,
    when_ready: Callable[[], None],
    orders: list[Order],
) -> int:
    return await Supervisor(home, options, console, os.environ).run(orders, when_ready)


def lead(home: Home, options: UpOptions, console: Console, when_ready: Callable[[], None]) -> int:
    """Run `up` to its end; the exit code.

    Raises:
        InvalidArgument: the manifests are wrong; one line.
        Refusal: it can not start.
    """
    check_machine(sys.platform, sys.version_info[:2])
    orders = read_orders(options.files)
    check_lengths(home, [order.name for order in orders])
    prepare(home)
    held = lock(home)
    try:
        return asyncio.run(_supervise(home, options, console, when_ready, orders))
    except OSError as error:
        raise of_os_error(error, "pythonpool up could not start") from error
    finally:
        console.close()
        os.close(held)
