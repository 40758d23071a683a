"""What /proc says about processes: who is a child of ours, and which life of a pid is meant."""

import os
from pathlib import Path

_PPID = 1
_START = 19


def _fields_after_name(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the name before may hold blanks."""
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return text[text.rindex(")") + 2 :].split()


def start_ticks(pid: int) -> int:
    """Clock ticks from boot to the start of a process; 0 when it is gone."""
    try:
        return int(_fields_after_name(pid)[_START])
    except (OSError, ValueError, IndexError):
        return 0


def is_dead(pid: int) -> bool:
    """Gone, or a zombie that its parent has not reaped."""
    try:
        return _fields_after_name(pid)[0] in "ZX"
    except (OSError, ValueError, IndexError):
        return True


def boot_id() -> str:
    """One life of this machine; ticks count from its beginning."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def children_of_self() -> list[int]:
    """The pids of all children of this process, dead ones that wait included."""
    found: list[int] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            found += map(int, Path(f"/proc/self/task/{thread}/children").read_text().split())
    except OSError:
        return _children_by_search()
    return found


def _children_by_search() -> list[int]:
    """The same on a kernel that does not list children: every process is looked at."""
    own = os.getpid()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if int(_fields_after_name(int(name))[_PPID]) == own:
                found.append(int(name))
        except (OSError, ValueError, IndexError):
            continue
    return found
