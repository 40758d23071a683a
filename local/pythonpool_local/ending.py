"""`down`: finds the `up` of a home and waits until it has ended."""

import json
import os
import select
import signal

from pythonpool_local.home import Home, is_locked
from pythonpool_local.proctable import start_ticks
from pythonpool_local.refusal import UNAVAILABLE, Refusal

WAIT_SECONDS = 20.0
"""`up` gives running calls 10 s; the rest is for killing and cleaning."""


def end_running(home: Home) -> int | None:
    """End the running `up`; its pid, or None when none runs.

    Raises:
        Refusal: it does not end.
    """
    if not is_locked(home):
        return None
    pid, ticks = _recorded(home)
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        # The descriptor is held before the look: a reused pid is never signalled.
        if start_ticks(pid) != ticks:
            return None
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ended, _, _ = select.select([descriptor], [], [], WAIT_SECONDS)
    finally:
        os.close(descriptor)
    if not ended:
        raise Refusal(
            f"pythonpool up (process {pid}) has not ended within {WAIT_SECONDS:.0f} s: "
            f"kill -9 {pid} ends it and all its workers",
            UNAVAILABLE,
        )
    return pid


def _recorded(home: Home) -> tuple[int, int]:
    try:
        content = json.loads(home.up_file.read_text())
        return int(content["pid"]), int(content["start_ticks"])
    except (OSError, ValueError, LookupError, TypeError):
        raise Refusal(
            f"pythonpool up is just starting or ending in {home.path}: try again", UNAVAILABLE
        ) from None
