"""What a crash left in a home: processes that are provably ours, folders, sockets, records.

Called by `up` when it holds the lock, so nothing of a living `up` can be met here.
"""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

from pythonpool_local.home import Home
from pythonpool_local.proctable import boot_id, is_dead, start_ticks


def clean(home: Home) -> int:
    """Kill and remove what is left below run/; the number of processes that were killed.

    A home that was removed under a running `up` has nothing left in it.
    """
    killed = _kill_recorded(home.processes_file)
    for path in home.run.iterdir() if home.run.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return killed


def _kill_recorded(record: Path) -> int:
    """Kill recorded processes whose start is the recorded one: no reused pid is ever hit."""
    try:
        content = json.loads(record.read_text())
        if content["boot"] != boot_id():
            return 0
        recorded = [(int(pid), int(ticks)) for pid, ticks in content["processes"]]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return sum(_kill(pid, ticks) for pid, ticks in recorded)


def _kill(pid: int, ticks: int) -> bool:
    if pid <= 1 or ticks == 0 or pid == os.getpid():
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # The descriptor is held before the look, so what was looked at is what is killed.
        if start_ticks(pid) != ticks or is_dead(pid):
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True
