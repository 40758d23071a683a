"""A killed process is not kept from dying by its own niceness."""

import os
import subprocess

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


def test_the_dead_need_no_hurry() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()

    linux.hurry(process.pid)
