"""What the figures were measured on, and with."""

import os
import platform
import subprocess
import sys
import sysconfig
import time
import timeit
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("pythonpool", "httptools", "orjson", "uvloop", "aiohttp", "starlette")


def machine() -> dict[str, object]:
    """All of it, as the results file keeps it."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": said("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": interpreter(),
        "packages": {name: _installed(name) for name in PACKAGES},
        "nginx": said("nginx", "-v"),
        "haproxy": said("haproxy", "-v"),
        "wrk": said("wrk", "-v"),
        "strace": said("strace", "-V"),
        "gcc": said("gcc", "--version"),
    }


def interpreter() -> dict[str, object]:
    """The interpreter and how it was built: a profile (PGO) makes a fifth of difference."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        "text": sys.version,
        "pgo": "--enable-optimizations" in options,
        "lto": "--with-lto" in options,
        # Debian builds several from one source, and only the settings of another one are kept.
        "is_distribution": Path(sys.executable).resolve().is_relative_to("/usr/bin"),
        "loop_ns": min(timeit.repeat("a[i & 7] = a.get(i, 0) + 1", "a = {}; i = 5", repeat=5,
                                     number=200_000)) / 200_000 * 1e9,
    }  # fmt: skip


def build(python: Mapping[str, object]) -> str:
    """How an `interpreter` was built, in words."""
    made = " and ".join(name.upper() for name in ("pgo", "lto") if python[name])
    return made or ("the distribution's" if python["is_distribution"] else "neither PGO nor LTO")


def said(*command: str) -> str:
    """The first line that a program says of itself; empty when there is none."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (told.stdout + told.stderr).partition("\n")[0].strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
