"""Many made requests to one router, and what must hold of each and of all.

`python tests/hostile/fuzz.py --number 10000 --seed 7` runs them against an `up` of its own;
`--at K` sends only request K of that seed and shows it.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from flows.house import open_house
from hostile.grammar import made
from hostile.ground import Ground, ids_are_unique, prepare, ran_once_each
from hostile.rawhttp import Said, say

AT_ONCE = 16
GROWTH_BYTES = 16 * 2**20


@dataclass(slots=True)
class Fuzzed:
    """What came of a run.

    Attributes:
        statuses: how often each came.
        breaches: in words, with the number of the request.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    said: list[Said] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)


async def fuzz(ground: Ground, seed: int, numbers: range) -> Fuzzed:
    """Send them, AT_ONCE at a time."""
    fuzzed = Fuzzed()
    waiting = iter(numbers)

    async def send_some() -> None:
        for number in waiting:
            await _send_one(ground, seed, number, fuzzed)

    await asyncio.gather(*(send_some() for _ in range(AT_ONCE)))
    return fuzzed


async def _send_one(ground: Ground, seed: int, number: int, fuzzed: Fuzzed) -> None:
    one = made(seed, number)
    try:
        said = await say(ground.door, one.data, one.pieces)
    except (TimeoutError, ValueError) as error:
        fuzzed.breaches.append(f"request {number} of seed {seed}: {error!r}")
        return
    fuzzed.said.append(said)
    fuzzed.statuses.update(said.statuses)
    if len(said.answers) > one.most_answers or max(said.statuses, default=0) >= 500:
        fuzzed.breaches.append(f"request {number} of seed {seed}: {said.statuses}")


def must_hold(ground: Ground, fuzzed: Fuzzed, before_bytes: int, descriptors: int) -> None:
    """After all of them: nobody was served twice, and nothing is left of them."""
    assert fuzzed.breaches == []
    ran_once_each(fuzzed.said, ground.executed())
    ids_are_unique(fuzzed.said)
    ground.serves()
    more = ground.descriptors() - descriptors
    assert more <= 2, f"{more} descriptors more than before"
    grown = ground.resident_bytes() - before_bytes
    assert grown < GROWTH_BYTES, f"{grown} bytes more than before"


def run(ground: Ground, seed: int, numbers: range) -> Fuzzed:
    """A whole run with its checks, after some to warm up."""
    asyncio.run(fuzz(ground, seed, range(-200, 0)))
    ground.serves()
    before, descriptors = ground.resident_bytes(), ground.descriptors()
    fuzzed = asyncio.run(fuzz(ground, seed, numbers))
    must_hold(ground, fuzzed, before, descriptors)
    return fuzzed


def main() -> int:
    """Exit code 1 for a breach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at", type=int)
    given = parser.parse_args()
    numbers = range(given.number) if given.at is None else range(given.at, given.at + 1)
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    (home / "pools.yaml").write_text(prepare(home))
    house = open_house(home, [home / "pools.yaml"])
    try:
        fuzzed = run(Ground(house), given.seed, numbers)
    except AssertionError as error:
        print(f"BROKEN: {error}")
        return 1
    finally:
        house.close()
        shutil.rmtree(home, ignore_errors=True)
    if given.at is not None:
        print(made(given.seed, given.at).data, fuzzed.said)
    statuses = dict(sorted(fuzzed.statuses.items()))
    print(f"{len(fuzzed.said)} connections, answers by status: {statuses}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
