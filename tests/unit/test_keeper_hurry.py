"""A killed process is not kept from dying by its own niceness."""

import os
import subprocess
import sys

import pytest

from pythonpool_worker import linux


def test_the_dying_are_as_nice_as_we_are() -> None:
    with subprocess.Popen(["sleep", "60"], preexec_fn=lambda: os.nice(5)) as process:
        linux.hurry(process.pid)
        niceness = os.getpriority(os.PRIO_PROCESS, process.pid)
        process.kill()

    if os.geteuid() != 0:
        pytest.skip("only root may make a process less nice")
    assert niceness == os.getpriority(os.PRIO_PROCESS, 0)


def test_each_thread_of_the_dying_is_hurried() -> None:
    """A process is dead when its last thread is."""
    threads = "import threading; e = threading.Event(); [threading.Thread(target=e.wait).start()"
    program = f"{threads} for _ in range(3)]; print(flush=True); e.wait()"
    with subprocess.Popen(
        [sys.executable, "-c", program], preexec_fn=lambda: os.nice(5), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        linux.hurry(process.pid)
        tasks = [int(task) for task in os.listdir(f"/proc/{process.pid}/task")]
        niceness = {os.getpriority(os.PRIO_PROCESS, task) for task in tasks}
        process.kill()

    if os.geteuid() != 0:
        pytest.skip("only root may make a process less nice")
    assert len(tasks) == 4
    assert niceness == {os.getpriority(os.PRIO_PROCESS, 0)}


def test_the_dead_need_no_hurry() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()

    linux.hurry(process.pid)
