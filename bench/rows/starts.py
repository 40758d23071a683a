"""`pythonpool up` to the first answer of the general pool, and the CPU that went into it."""

import time
from pathlib import Path

from bench.figures import Row, spread
from bench.local import up
from bench.manifests import EXAMPLES, execute
from bench.registry import Effort
from bench.turns import take_turns


def measure(folder: Path, effort: Effort) -> list[Row]:
    """The shipped general pool alone, and the three of examples/pools.yaml."""
    alone = folder / "general.yaml"
    alone.write_text(EXAMPLES.read_text().split("\n---\n")[0])
    manifests = {"general": alone, "all": EXAMPLES}
    rounds = 1 if effort.is_quick else 5

    def once(name: str) -> tuple[float, float]:
        at = folder / f"{name}-{time.monotonic_ns()}"
        with up(at, manifests[name], execute("echo", "general")) as home:
            return time.monotonic() - home.began, sum(home.cpu_by_role().values())

    found = take_turns(tuple(manifests), rounds, effort.chance, once)
    rows = []
    for name, said in (("general", "alone"), ("all", "with all three pools")):
        seconds, cpu = zip(*found[name], strict=True)
        rows += [
            Row(f"starts.{name}", f"`pythonpool up` to the first answer of general {said}, s",
                spread(seconds)),
            Row(f"starts.cpu.{name}", f"CPU of all processes until then, s, {said}", spread(cpu)),
        ]  # fmt: skip
    return rows
