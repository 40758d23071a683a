"""`python -m bench.main`: measures parts, prints one table, writes JSON into bench/out."""

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench import report
from bench.figures import Row
from bench.machine import build, interpreter, machine
from bench.parts import PARTS
from bench.programs import OUT, build_native, install_peers
from bench.registry import GROUPS, Effort, NoSuchPartError, Part, chosen
from bench.rows.peers import versions

_QUICK = (3, 0.3)
_FULL = (7, 1.0)


def main() -> int:
    """Exit code 0 when everything could be measured, whatever came out."""
    parser = _parser()
    asked = parser.parse_args()
    try:
        words = [word for words in asked.parts for word in words.split(",")]
        parts = chosen(PARTS, words, with_asked=asked.peers, is_quick=asked.quick)
    except NoSuchPartError as error:
        parser.error(str(error))
    if asked.save and (asked.quick or asked.parts):
        parser.error("a release is kept of a whole and full run: --save alone")
    _more_files()
    install_peers()
    build_native()
    about = {"version": version("pythonpool"), "quick": asked.quick, "seed": asked.seed}
    made_on = machine()
    rounds, seconds = _QUICK if asked.quick else _FULL
    groups = _measured(parts, Effort(rounds, seconds, asked.quick, random.Random(asked.seed)))
    made_on["peers"] = versions() if groups["peers"] else None
    said = f"{_table(groups)}\n\n{_conditions(made_on, is_quick=asked.quick)}"
    print(said)
    missing = [key for key in report.unmeasured(groups) if not key.startswith("peers.")]
    if missing and not asked.parts:
        print(f"budgets without a figure: {', '.join(missing)}")
    _write(report.result(made_on, about, groups), asked.save)
    if asked.save or asked.document:
        report.PAGE.write_text(report.documented(report.PAGE.read_text(), said))
    return 0


def _write(text: str, is_release: bool) -> None:
    OUT.mkdir(exist_ok=True)
    file = OUT / f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json"
    if is_release:
        report.HISTORY.mkdir(exist_ok=True)
        file = report.HISTORY / f"{version('pythonpool')}.json"
    file.write_text(text)
    print(f"written: {file}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.main")
    parser.add_argument("--quick", action="store_true", help="two minutes: the budgets alone")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="order of turns")
    parser.add_argument("--peers", action="store_true", help="the other Python servers, too")
    parser.add_argument("--save", action="store_true", help="a release: into history and docs")
    parser.add_argument("--document", action="store_true", help="put the table into the docs")
    parser.add_argument("parts", nargs="*", metavar="PART", help=(
        f"only these, or groups of them: {', '.join(part.name for part in PARTS)}; "
        f"groups: {', '.join(GROUPS)}"
    ))  # fmt: skip
    return parser


def _more_files() -> None:
    """Let a thousand connections not be a matter of a shell's limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _measured(parts: Sequence[Part], effort: Effort) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {group: [] for group in GROUPS}
    began = time.monotonic()
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            os.chmod(folder, 0o755)
            try:
                groups[part.group] += part.measure(Path(folder), effort)
            except Exception:
                print(f"{_table(groups)}\n\nbench: {part.name} failed; the table ends here")
                raise
        at = time.monotonic() - began
        print(f"bench: {part.name} after {at:.0f} s", file=sys.stderr, flush=True)
    return groups


def _table(groups: dict[str, list[Row]]) -> str:
    release = report.latest_release()
    earlier = report.medians(release.read_text()) if release else None
    return report.table(groups, earlier, release.stem if release else "")


def _conditions(about: dict[str, object], is_quick: bool) -> str:
    """What a reader of the table must know of the run."""
    python = interpreter()
    loads = [round(load, 1) for load in os.getloadavg()]
    return (
        f"{'Quick run' if is_quick else 'Full run'}, {about['time']}, commit {about['commit']}: "
        f"{about['cpu']}, {about['cores']} cores, load averages {about['load']} at the start and "
        f"{loads} at the end; {about['nginx']}; {about['haproxy']}; "
        f"Python {python['version']} (build: {build(python)})."
    )


if __name__ == "__main__":
    sys.exit(main())
