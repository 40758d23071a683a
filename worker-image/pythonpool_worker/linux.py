"""The kernel's own words: prctl, and what /proc says about processes.

Used by keeper and template; knows nothing of either. Linux only.
"""

import contextlib
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

# A real-time signal near the top: libraries and user code use SIGUSR1 and the low ones.
STACK_SIGNAL = signal.SIGRTMAX - 2

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Orphaned descendants become children of this process, not of process 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_from_debuggers() -> None:
    """Other processes of the same user can read neither memory nor environment of this one."""
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent() -> None:
    """SIGKILL for this process when its present parent dies; lost at fork."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The children of all threads of `pid`, zombies too; empty when there is no such process."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return found


def descendants(pid: int) -> list[int]:
    """All that live below `pid`, parents before children; `pid` itself is left out."""
    found = children(pid)
    for child in found:  # the list grows under the loop
        found += children(child)
    return found


def process_state(pid: int) -> str:
    """The letter that /proc gives a process (`R`, `S`, `D`, `T`, `Z` …); empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return chr(file.read().rpartition(b") ")[2][0])
    except (OSError, IndexError):
        return ""


def start_ticks(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read().rpartition(b") ")[2].split()[19])
    except (OSError, IndexError):
        return 0


def resident_bytes(pid: int) -> int:
    """What a process has in memory, shared pages too; 0 when it is gone."""
    return _statm(pid)[0]


def anonymous_bytes(pid: int) -> int:
    """What a process has in memory that is of no file; what forks share counts whole."""
    resident, shared = _statm(pid)
    return resident - shared


def _statm(pid: int) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            _, resident, shared, *_ = file.read().split()
    except (OSError, ValueError):
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(resident) * page, int(shared) * page


def hurry(pid: int) -> None:
    """Give a process that is to die our own niceness, where the system allows it.

    Executors are nicer than we are, and a killed process needs processor time to be dead: each of
    its threads does, and to the kernel niceness is a thread's own.
    """
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(task), niceness)
    except OSError:
        return  # not allowed, or dead


def send_signal(pid: int, number: int) -> None:
    """`kill`, where a process that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(group: int, number: int) -> None:
    """`killpg`, where a group that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def threads_of_this_process() -> list[str]:
    """The kernel's names of all threads, native ones too; one name: the main thread is alone."""
    names = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/comm") as file:
            names.append(file.read().strip())
    return names


def sockets_of_this_process() -> list[int]:
    """The descriptors that are sockets."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                found.append(int(name))
    return sorted(found)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}, {value}): {os.strerror(error)}")
