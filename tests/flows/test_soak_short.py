"""The soak and its scenarios, short: the program of `make soak`, told in full when it breaks."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "soak" / "soak.py"
PATIENCE_SECONDS = 80.0
END_SECONDS = 35.0


def soak(*options: str) -> None:
    """Run it to its end; every promise must have held."""
    with subprocess.Popen(
        [sys.executable, str(SOAK), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as soaking:
        try:
            said, _ = soaking.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            soaking.send_signal(signal.SIGINT)  # it ends its `up`
            said, _ = soaking.communicate(timeout=END_SECONDS)

    assert soaking.returncode == 0, said


@pytest.mark.slow
def test_the_promises_hold_under_fire() -> None:
    """Processes and links fail every 1.5 s; log and journal show what came of it."""
    soak("--seed", "11", "--seconds", "12")


@pytest.mark.slow
def test_a_killed_up_leaves_nothing() -> None:
    """Kill -9 of `up` itself in the middle of it, with what runs where the caller has gone."""
    soak("--seed", "12", "--seconds", "5", "--variant", "finish", "--end", "kill")


SCALES = {
    "storm": 0.04,
    "zoo": 0.04,
    "vanish": 0.04,
    "frozen": 0.04,
    "routers": 0.04,
    "changes": 0.04,
    "overload": 0.04,
    "cancels": 0.04,
    "million": 0.02,
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCALES)
def test_a_promise_holds_under_load(scenario: str) -> None:
    """`make soak SCENARIO=…` is the whole of it."""
    soak("--scenario", scenario, "--scale", str(SCALES[scenario]))
