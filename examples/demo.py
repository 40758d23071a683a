"""The main job in one run: three pools, the three examples, a kill and a full pool.

`make demo` runs it. It starts `pythonpool up` in a home of its own, calls it through the client as
any program would, prints what came back, and stops everything again.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pythonpool import Client, PythonPoolError, ResourceExhausted, Timeout

HERE = Path(__file__).parent
SHOWN_EVERY = 1 / 3  # of the work, between two lines of progress


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
    """Prints progress events as they come, a line per third of the work at most."""

    def __init__(self, show: Callable[[dict[str, Any]], str]) -> None:
        self._show = show
        self._next = SHOWN_EVERY

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one progress event."""
        fraction = event.get("fraction") or 0.0
        if fraction >= self._next:
            say(f"   {fraction:4.0%}  {self._show(event)}")
            self._next = fraction + SHOWN_EVERY


def echo(client: Client) -> None:
    """Example 1: a call on the general pool."""
    answer = client.execute("general", "echo", {"message": "Hello from Python"})
    say(f"1. general, echo: {json.dumps(answer['echoed'])}")


def optimize(client: Client) -> None:
    """Example 2: a DSPy optimization with progress, against the offline language model."""
    say("2. optimizer, optimize_model: a DSPy program and an offline language model")
    answer = client.execute(
        "optimizer",
        "optimize_model",
        {"iterations": 4, "data": "requests"},
        timeout=300,
        on_progress=Progress(lambda event: f"{event['lm_calls']} questions to the model"),
    )
    say(f"   right answers: {answer['baseline_score']:.0%} before, {answer['score']:.0%} after")


def train(client: Client) -> None:
    """Example 3: a training whose network lives in a session, then a prediction by it."""
    with client.session("neural", ttl_seconds=7200) as session:
        say("3. neural, train_model in a session: handwritten digits")
        session.execute(
            "train_model",
            {"epochs": 10, "batch_size": 32},
            timeout=600,
            on_progress=Progress(lambda event: f"epoch {event['epoch']}, loss {event['loss']:.3f}"),
        )
        score = session.execute("evaluate", {})
        guess = session.execute("predict", {"rows": [0, 1, 2, 3, 4]})
        read, truth = (" ".join(map(str, guess[name])) for name in ("labels", "truth"))
        say(f"   the session kept the network: {score['accuracy']:.0%} of new digits are right")
        say(f"   it reads {read}, and they were {truth}")


def killed(client: Client) -> None:
    """A call that is stuck in C code is killed at its deadline, and says where it was."""
    try:
        client.execute("troubles", "gil_call", {}, timeout=1)
    except Timeout as error:
        say(f"4. troubles, a call stuck in C code: {error.status}, killed after 1 s")
        say(f"   it was at {_place(error.stack or '')}")


def _place(stack: str) -> str:
    """The innermost line of the adapter's own code in a stack, innermost last or first."""
    found = re.search(r'troubles\.py", line (\d+)(?:,)? in (\w+)', stack)
    return f"troubles.py, line {found[1]}, in {found[2]}" if found else "a place unknown"


def full(client: Client) -> None:
    """A full pool says so at once, and when to come back."""
    slots = client.pool("troubles")["total"]
    with ThreadPoolExecutor(slots) as callers:
        running = [
            callers.submit(client.execute, "troubles", "sleep", {"seconds": 1})
            for _ in range(slots)
        ]
        while client.pool("troubles")["busy"] < slots and not any(one.done() for one in running):
            pass
        try:
            client.execute("troubles", "sleep", {"seconds": 1}, queue_timeout=0)
        except ResourceExhausted as error:
            when = (error.retry_after_ms or 0) / 1000
            say(f"5. troubles, one call more than its {slots} slots: {error.status} at once,")
            say(f"   come back in {when:.1f} s")


def main() -> int:
    """Run the demo; 0 when every example gave its answer."""
    say("Three pools on this machine, and one that gets into trouble; they start in about 10 s.")
    with (
        tempfile.TemporaryDirectory(prefix="pythonpool-") as home,
        pools(home) as url,
        Client(url, token=(Path(home) / "token").read_text().strip()) as client,
    ):
        for example in (echo, optimize, train, killed, full):
            example(client)
    say("Everything is stopped again. Next: make up, then in another terminal")
    say("   .venv/bin/pythonpool run general echo message=hi")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except PythonPoolError as error:
        sys.exit(f"demo: {error.detail}")
