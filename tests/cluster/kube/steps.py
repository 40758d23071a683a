"""What `make cluster` says, one line a part with its time; and the commands that it runs."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CanNot(Exception):
    """This machine can not make the cluster; the message says why. Exit code 3."""


class Failed(Exception):
    """A part of the cluster did not come up; the message has the end of its log. Exit code 1."""


def say(text: str) -> None:
    """Print one line at once."""
    print(f"cluster: {text}", flush=True)


@contextmanager
def step(text: str, announce: bool = False) -> Iterator[None]:
    """Print `text` with the seconds it took; with `announce` also before it begins."""
    if announce:
        say(f"{text} …")
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    say(f"{text}: {seconds:.1f} s")
    note(seconds, f"cluster: {text}")


def note(seconds: float, part: str) -> None:
    """Put a part into the table that ./check closes with, if it is what runs this."""
    table = os.environ.get("PYTHONPOOL_TIMES")
    if table:
        with Path(table).open("a") as file:
            file.write(f"{seconds:8.1f}  {part}\n")


def run(*command: str | Path, text_in: str | None = None, **more: str) -> str:
    """Run a command to its end and return its stdout; `more` joins its environment.

    Raises:
        Failed: it ended with another code than 0; with the command and its last lines.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        input=text_in or "",
        capture_output=True,
        text=True,
        env=environment(**more),
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{said}")
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    """This environment with the folders of administrators' programs in PATH, and `more`."""
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    return {**os.environ, "PATH": path, **more}
