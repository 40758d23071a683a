"""A process that does nothing but wake up, on each core: what it misses, the machine stood still.

`python heartbeat.py` prints a line `BEGAN ENDED` (seconds of CLOCK_MONOTONIC) for each time that it
came late. It has the niceness of the parts that are watched, and is asked nothing.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from soak.history import Pause

_BEAT_SECONDS = 0.02
_LATE_SECONDS = 0.01


async def watch_machine(note: Callable[[Pause], None]) -> None:
    """Run the process and note what it missed, until cancelled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, os.path.abspath(__file__), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            began, ended = map(float, line.split())
            note(Pause(began, ended, "the machine", is_measured=True))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _beat(core: int) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        due = time.monotonic() + _BEAT_SECONDS
        time.sleep(_BEAT_SECONDS)
        if (now := time.monotonic()) > due + _LATE_SECONDS:
            os.write(1, f"{due} {now}\n".encode())


def main() -> None:
    """One thread for each core."""
    threads = [
        threading.Thread(target=_beat, args=(core,)) for core in sorted(os.sched_getaffinity(0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
