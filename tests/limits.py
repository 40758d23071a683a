"""Limits that a test puts on processes of its own, by what the machine allows."""

import contextlib
import os
import resource
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_V1 = Path("/sys/fs/cgroup/pids")
_V2 = Path("/sys/fs/cgroup")


@contextmanager
def process_limit(most: int) -> Iterator[Callable[[], None]]:
    """What a new process calls so that it and all below it are `most` at the most.

    Root has a cgroup for it; everybody else the limit of a user's processes.
    """
    if os.getuid():
        yield lambda: _limit_user(most)
        return
    root = _V1 if _V1.is_dir() else _V2
    folder = root / f"pp-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
        (folder / "pids.max").write_text(str(most))
    except OSError as error:
        pytest.skip(f"not run: no cgroup for processes can be made here ({error})")
    procs = folder / "cgroup.procs"
    try:
        yield lambda: _join(str(procs))
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _join(procs: str) -> None:
    with open(procs, "w") as file:
        file.write(str(os.getpid()))


def _limit_user(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (_threads_of_user() + most,) * 2)


def _threads_of_user() -> int:
    count = 0
    for status in Path("/proc").glob("[0-9]*/task"):
        with contextlib.suppress(OSError):
            if status.stat().st_uid == os.getuid():
                count += len(os.listdir(status))
    return count
