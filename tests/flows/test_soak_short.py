"""The soak, short: the same program as `make soak`, its schedule shown when a promise is broken."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "soak" / "soak.py"
PATIENCE_SECONDS = 80.0
END_SECONDS = 35.0


@pytest.mark.slow
def test_the_promises_hold_under_fire() -> None:
    """Processes and links fail every 1.5 s; log and journal show what came of it."""
    command = [sys.executable, str(SOAK), "--seed", "11", "--seconds", "15"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as soaking:
        try:
            said, _ = soaking.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            soaking.send_signal(signal.SIGINT)  # it ends its `up`
            said, _ = soaking.communicate(timeout=END_SECONDS)

    assert soaking.returncode == 0, said
