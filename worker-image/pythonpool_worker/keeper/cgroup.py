"""What the kernel says about a container's memory, and whether it has killed for it."""

from collections import deque
from pathlib import Path

V2 = Path("/sys/fs/cgroup")
V1 = Path("/sys/fs/cgroup/memory")
V1_CPU = Path("/sys/fs/cgroup/cpu")
# What the kernel writes where there is no limit is larger than any machine.
_NO_LIMIT = 1 << 60
# A process of some gigabytes takes half a second to die of its SIGKILL.
_MEMORY_SECONDS = 3.0


class Container:
    """The memory of the container that this process is in.

    Attributes:
        limit_bytes: the kernel's own limit.
    """

    def __init__(self, limit_bytes: int, usage: Path, stat: Path, inactive: bytes) -> None:
        self.limit_bytes = limit_bytes
        self._usage = usage
        self._stat = stat
        self._inactive = inactive

    def used_bytes(self, line_bytes: int) -> int:
        """What is in use; over the line, without the file pages that the kernel can drop."""
        used = int(self._usage.read_bytes())
        if used < line_bytes:
            return used
        return max(used - _field(self._stat, self._inactive), 0)


def container(v2: Path = V2, v1: Path = V1) -> Container | None:
    """The container with a memory limit that this process is in, if it is in one."""
    try:
        limit = int((v2 / "memory.max").read_bytes())
        return Container(limit, v2 / "memory.current", v2 / "memory.stat", b"inactive_file")
    except (OSError, ValueError):
        pass  # not version 2, or `max`
    stat = v1 / "memory.stat"
    try:
        limit = _field(stat, b"hierarchical_memory_limit")
    except OSError:
        return None
    if not 0 < limit < _NO_LIMIT:
        return None
    return Container(limit, v1 / "memory.usage_in_bytes", stat, b"total_inactive_file")


def cpu_quota(v2: Path = V2, v1: Path = V1_CPU) -> int | None:
    """The CPU limit of the container in whole cores, rounded up; None without one."""
    try:
        quota, period = (v2 / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (v1 / "cpu.cfs_quota_us").read_text()
            period = (v1 / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return -(-int(quota) // int(period)) if int(quota) > 0 else None
    except ValueError:
        return None  # `max`


class OomCount:
    """Counts the kernel's own kills in a container that holds one worker alone.

    Elsewhere it stays at 0: the count of a machine, or of what else runs beside the worker, rises
    for somebody else's process, and says nothing about the death of one of ours.
    """

    def __init__(self, in_container: bool, v2: Path = V2, v1: Path = V1) -> None:
        places = [v2 / "memory.events", v1 / "memory.oom_control"] if in_container else []
        self._place = next((path for path in places if path.exists()), None)
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float) -> None:
        """Remember the count; to be called about once a second."""
        self._seen.append((now, self._read()))
        while self._seen[0][0] < now - _MEMORY_SECONDS and len(self._seen) > 1:
            self._seen.popleft()

    def has_risen(self) -> bool:
        """Whether the kernel has killed in the last seconds: the dead die slowly."""
        return bool(self._seen) and self._read() > self._seen[0][1]

    def _read(self) -> int:
        if self._place is None:
            return 0
        try:
            return _field(self._place, b"oom_kill")
        except OSError:
            return 0


def _field(path: Path, name: bytes) -> int:
    """The number after `name`; 0 when it is not there."""
    for line in path.read_bytes().splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return int(words[1])
    return 0
