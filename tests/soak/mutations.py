"""Four mutations of the core, each of which the soak must catch: `make mutations`.

Each is made in a copy of this tree, where a short soak is run; a mutation that no rule of the
history checker catches is a hole in the tests. Exit code 0 when all were caught, 1 when one was
not, 2 when the text that a mutation replaces is not there any more.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_AGENT = "worker-image/pythonpool_worker/agent"
_ROUTER = "router/pythonpool_router"
_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__")
_SECONDS = "20"


@dataclass(frozen=True, slots=True)
class Change:
    """`old` in a file, which must be there once, becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """One defect, and the rule of the checker that must see it."""

    name: str
    rule: str
    changes: tuple[Change, ...]


MUTATIONS = (
    Mutation(
        "a late answer is let through",
        "answers_in_time",
        (
            Change(
                f"{_AGENT}/intake.py",
                "self._timers.at(call.taken_at + call.timeout, ",
                "self._timers.at(call.taken_at + call.timeout + 0.8, ",
            ),
            Change(f"{_ROUTER}/overdue.py", "OVERDUE_SECONDS = 0.2", "OVERDUE_SECONDS = 3.0"),
        ),
    ),
    Mutation(
        "a call is sent twice",
        "at_most_once",
        (
            Change(
                f"{_ROUTER}/workernews.py",
                'bool(row and row.get("idempotent"))',
                "row is not None",
            ),
        ),
    ),
    Mutation(
        "a slot is given back twice",
        "slots_are_kept",
        (
            Change(
                f"{_AGENT}/slots.py",
                "        self.busy -= 1\n        if router is not None and self.is_open:",
                "        self.busy = max(self.busy - 2, 0)\n"
                "        if router is not None and self.is_open:",
            ),
        ),
    ),
    Mutation(
        "a session is opened afresh",
        "counters_grow",
        (
            Change(
                f"{_AGENT}/sessions.py",
                '            session.state = b"".join(call.snapshot)\n',
                '            session.state = session.state or b"".join(call.snapshot)\n',
            ),
        ),
    ),
)


def apply(mutation: Mutation, tree: Path) -> None:
    """Make the changes.

    Raises:
        LookupError: a text to replace is not there once.
    """
    for change in mutation.changes:
        file = tree / change.path
        text = file.read_text()
        if text.count(change.old) != 1:
            raise LookupError(f"{change.path} has not once: {change.old.strip()}")
        file.write_text(text.replace(change.old, change.new))


def broken_rules(tree: Path) -> dict[str, int]:
    """A short soak of a tree; breaches by rule, `soak` where it did not come so far."""
    done = subprocess.run(
        [tree / ".venv/bin/python", "tests/soak/soak.py", "--seed", "5", "--seconds", _SECONDS],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found: dict[str, int] = {}
    for rule in re.findall(r"^BROKEN (\w+): ", done.stdout, re.MULTILINE):
        found[rule] = found.get(rule, 0) + 1
    if done.returncode and not found:
        found["soak"] = 1
    return found


def main() -> int:
    """Copy, mutate, soak; a line for each whose name has the words that were given."""
    missed = 0
    with tempfile.TemporaryDirectory(prefix="mutations-", dir="/tmp") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=_NOT_COPIED, symlinks=True)
        subprocess.run([tree / ".ci/venv", "test"], cwd=tree, check=True)
        for mutation in MUTATIONS:
            if not all(word in mutation.name for word in sys.argv[1:]):
                continue
            try:
                apply(mutation, tree)
            except LookupError as error:
                print(f"{mutation.name}: {error}", flush=True)
                return 2
            found = broken_rules(tree)
            is_caught = mutation.rule in found
            missed += not is_caught
            verdict = "caught" if is_caught else "NOT CAUGHT"
            print(f"{mutation.name}: {verdict} by {mutation.rule}; {found}", flush=True)
            for change in mutation.changes:
                shutil.copy(ROOT / change.path, tree / change.path)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
