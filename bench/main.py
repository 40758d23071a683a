"""`python -m bench.main`: runs everything, prints one table, writes JSON into bench/out."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bench import proxying, whole
from bench.figures import Row, table
from bench.programs import OUT, build_native, install_peers, version_of

Part = Callable[[Path, bool], list[Row]]


def _proxying(folder: Path, quick: bool) -> list[Row]:
    points = [(transport, n) for transport in ("tcp", "unix") for n in (1, 32)]
    if not quick:
        points.append(("tcp", 1000))
    return proxying.measure(folder, 3 if quick else 9, 0.8 if quick else 2.0, points)


def _forks(folder: Path, quick: bool) -> list[Row]:
    known = [name for name in ("numpy", "dspy") if find_spec(name) is not None]
    return whole.forks(folder, ("", *known[1 if quick else 0 :]))


PARTS: dict[str, Part] = {
    "proxying": _proxying,
    "path": lambda folder, quick: whole.path(folder, 3 if quick else 9, 1.0 if quick else 5.0),
    "ends": lambda folder, quick: whole.ends(folder, 3 if quick else 20),
    "forks": _forks,
    "starts": lambda folder, quick: whole.starts(folder, 1 if quick else 5),
}


def machine() -> dict[str, object]:
    """What the figures were measured on, and with."""
    model = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    packages = ("pythonpool", "httptools", "orjson", "uvloop")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": model[0].partition(":")[2].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": sys.version,
        "packages": {name: _installed(name) for name in packages},
        "nginx": version_of("nginx", "-v"),
        "haproxy": version_of("haproxy", "-v"),
        "gcc": version_of("gcc", "--version"),
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> int:
    """Exit code 0 when everything could be measured, whatever came out."""
    parser = argparse.ArgumentParser(prog="python -m bench.main")
    parser.add_argument("--quick", action="store_true", help="two minutes instead of fifteen")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these")
    asked = parser.parse_args()
    install_peers()
    build_native()
    about = machine()
    rows: list[Row] = []
    began = time.monotonic()
    for name in asked.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            os.chmod(folder, 0o755)
            rows += PARTS[name](Path(folder), asked.quick)
        print(f"bench: {name} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(rows))
    load = about["load"]
    print(f"\n{about['cpu']}, {about['cores']} cores, load {load[0]:.1f} at the start; ", end="")  # type: ignore[index]
    print(f"{about['nginx']}; {about['haproxy']}; Python {platform.python_version()}")
    OUT.mkdir(exist_ok=True)
    file = OUT / f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json"
    result = {"machine": about, "quick": asked.quick, "rows": [row.to_json() for row in rows]}
    file.write_text(json.dumps(result, indent=1))
    print(f"written: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
