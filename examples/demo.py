"""The main job in one run: three pools, the three examples, a kill and a full pool.

`make demo` runs it. It starts `pythonpool up` in a home of its own, calls it through the client as
any program would, prints what came back, and stops everything again.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pythonpool import Client, PythonPoolError, ResourceExhausted, Timeout

HERE = Path(__file__).parent
SHOWN_EVERY = 0.25  # a line of progress per quarter of the work


def say(text: str) -> None:
    """One line for the reader, at once."""
    print(text, flush=True)


@contextmanager
def pools(home: str) -> Iterator[str]:
    """`pythonpool up` with the three pools and the troublesome one; yields its URL."""
    files = [str(HERE / name) for name in ("pools.yaml", "troubles.yaml")]
    command = [sys.executable, "-m", "pythonpool_cli", "up", *files, "--port", "0"]
    up = subprocess.Popen(
        [*command, "-o", "json"],
        env={**os.environ, "PYTHONPOOL_HOME": home},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the demo, which then stops it in order
    )
    try:
        assert up.stdout is not None
        line = up.stdout.readline()
        if not line:
            raise SystemExit(up.wait() or 1)
        yield json.loads(line)["url"]
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait()


class Progress:
    """Prints progress events, one line for each quarter."""

    def __init__(self, *fields: str) -> None:
        self._fields = fields
        self._next = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one progress event."""
        fraction = event.get("fraction") or 0.0
        if fraction >= self._next:
            shown = "  ".join(f"{name} {event[name]}" for name in self._fields if name in event)
            say(f"    {fraction:4.0%}  {shown}")
            self._next = fraction + SHOWN_EVERY


def echo(client: Client) -> None:
    """Example 1: a call on the general pool."""
    answer = client.execute("general", "echo", {"message": "Hello from Python"})
    say(f"1. echo on general: {json.dumps(answer['echoed'])}")


def optimize(client: Client) -> None:
    """Example 2: a DSPy optimization with progress, against the offline language model."""
    say("2. optimize_model on optimizer (a DSPy optimizer, offline language model):")
    answer = client.execute(
        "optimizer",
        "optimize_model",
        {"iterations": 4, "data": "requests"},
        timeout=300,
        on_progress=Progress("stage", "lm_calls", "best_score"),
    )
    say(f"    score {answer['baseline_score']} before, {answer['score']} after")


def train(client: Client) -> None:
    """Example 3: a training whose network lives in a session, then a prediction by it."""
    with client.session("neural", ttl_seconds=7200) as session:
        say("3. train_model in a session on neural (handwritten digits):")
        session.execute(
            "train_model",
            {"epochs": 10, "batch_size": 32},
            timeout=600,
            on_progress=Progress("epoch", "loss"),
        )
        score = session.execute("evaluate", {})
        guess = session.execute("predict", {"rows": [0, 1, 2, 3, 4]})
        say(f"    accuracy on rows held out: {score['accuracy']:.1%}")
        say(f"    the same session reads five of them: {guess['labels']}, truth {guess['truth']}")


def killed(client: Client) -> None:
    """A call that is stuck in C code is killed at its deadline, and says where it was."""
    try:
        client.execute("troubles", "gil_call", {}, timeout=1)
    except Timeout as error:
        where = [line.strip() for line in (error.stack or "").splitlines() if "troubles.py" in line]
        say(
            f"4. a stuck call: {error.detail}; it was at {where[0] if where else 'a place unknown'}"
        )


def full(client: Client) -> None:
    """A full pool says so at once, and when to come back."""
    slots = client.pool("troubles")["total"]
    with ThreadPoolExecutor(slots) as callers:
        for _ in range(slots):
            callers.submit(client.execute, "troubles", "sleep", {"seconds": 1})
        while client.pool("troubles")["busy"] < slots:
            pass
        try:
            client.execute("troubles", "sleep", {"seconds": 1}, queue_timeout=0)
        except ResourceExhausted as error:
            when = (error.retry_after_ms or 0) / 1000
            say(f"5. a full pool: {error.status} {error.detail}; retry after {when:.1f} s")


def main() -> int:
    """Run the demo; 0 when every example gave its answer."""
    with (
        tempfile.TemporaryDirectory(prefix="pythonpool-") as home,
        pools(home) as url,
        Client(url, token=(Path(home) / "token").read_text().strip()) as client,
    ):
        for example in (echo, optimize, train, killed, full):
            example(client)
    say("everything is stopped again. Next: make up, then pythonpool run general echo message=hi")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except PythonPoolError as error:
        sys.exit(f"demo: {error.detail}")
