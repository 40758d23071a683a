"""Faults by seed under load, then the history checker: `python tests/soak/soak.py --seed 7`.

Exit code 0 when every promise held, 1 when one did not; the schedule is printed, and the same seed
gives it again.
"""

import argparse
import asyncio
import os
import sys
from dataclasses import fields, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from soak.plan import VARIANTS
from soak.run import say, soak
from soak.scenarios import SCENARIOS
from soak.stage import Asked


def main() -> int:
    """Read the options and soak, once for each seed; a summary line each."""
    options = _options()
    asked = Asked(**{one.name: getattr(options, one.name) for one in fields(Asked)})
    os.nice(5)
    results = []
    for seed in range(asked.seed, asked.seed + options.seeds):
        keep = asked.keep
        if keep is not None and options.seeds > 1:
            keep = keep / str(seed)
        results.append(asyncio.run(soak(replace(asked, seed=seed, keep=keep))))
    for result in results:
        say(str(result))
    return 1 if any(result.wrong for result in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default=Asked.scenario)
    parser.add_argument("--variant", choices=sorted(VARIANTS), default=Asked.variant)
    parser.add_argument("--seed", type=int, default=Asked.seed)
    parser.add_argument("--seeds", type=int, default=1, help="so many, from --seed on")
    parser.add_argument("--seconds", type=float, default=Asked.seconds, help="of load")
    parser.add_argument("--scale", type=float, default=Asked.scale, help="of a scenario, 0 to 1")
    parser.add_argument("--keep", type=Path, help="a folder for the history and the logs")
    parser.add_argument("--gap", type=float, default=Asked.gap, help="mean seconds between faults")
    parser.add_argument("--calm", action="store_true", help="no faults but those of the commands")
    parser.add_argument("--end", choices=("ctrl-c", "kill"), default=Asked.end)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
