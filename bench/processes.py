"""Processes that are started, and what the kernel knows of them: CPU, memory, system calls."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def child(command: list[str], core: str = "", **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended when the block is left."""
    if core:
        command = ["taskset", "-c", core, *command]
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tree(pid: int) -> list[int]:
    """The process and all that it started and they, as far as they live."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def born(pid: int) -> str:
    """When the process started, so that its number can not be another's; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that the processes have used, all their threads, to the nanosecond."""
    total = 0
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(stat.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def command_line(pid: int) -> str:
    """What it was started with; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def rss_bytes(pid: int) -> int:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def private_bytes(pid: int) -> int:
    """Memory of its own: what would be free without it."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(kib) for kib in re.findall(r"Private_\w+:\s+(\d+) kB", text))


def peak_bytes(pid: int) -> int:
    """The most that was resident since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return 1024 * int(match[1])


def forget_peak(pid: int) -> None:
    """Let `peak_bytes` begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class SystemCalls:
    """Counts the system calls of a process between `__enter__` and `__exit__` by `strace -c`.

    Attributes:
        total: all of them, once the block is left.
        by_name: each.
    """

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self.total = 0
        self.by_name: dict[str, int] = {}

    def __enter__(self) -> "SystemCalls":
        at = [word for pid in self._pids for word in ("-p", str(pid))]
        self._strace = subprocess.Popen(
            ["strace", "-c", "-f", "-U", "calls,name", *at],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_until(lambda: all(_is_traced(pid) for pid in self._pids), 10, "strace")
        return self

    def __exit__(self, *error: object) -> None:
        self._strace.terminate()
        _, said = self._strace.communicate(timeout=10)
        for count, name in re.findall(r"^\s*(\d+)\s+(\w+)\s*$", said, re.MULTILINE):
            if name != "total":
                self.by_name[name] = int(count)
        self.total = sum(self.by_name.values())


def _is_traced(pid: int) -> bool:
    return "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text()


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll each 10 ms until `condition()` is true.

    Raises:
        TimeoutError: it was not within `seconds`.
    """
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)
