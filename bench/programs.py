"""The programs that the benchmark needs: peers from the distribution, its own from source."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"
NATIVE = OUT / "native"
PEERS = ("nginx", "haproxy", "strace", "gcc")


def install_peers() -> None:
    """Install what is missing by apt-get.

    Raises:
        SystemExit: it can not be had.
    """
    os.environ["PATH"] += ":/usr/sbin"
    missing = [name for name in PEERS if shutil.which(name) is None]
    if not missing:
        return
    print(f"bench: installing {', '.join(missing)}", flush=True)
    quiet = {
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, "libc6-dev"]
    ended = subprocess.run(install, check=False, **quiet)  # type: ignore[call-overload]
    if ended.returncode:
        raise SystemExit(f"bench: install these yourself: {' '.join(missing)}")


def build_native() -> None:
    """Compile load, upstream and worker where their source is newer."""
    NATIVE.mkdir(parents=True, exist_ok=True)
    for source in (HERE / "native").glob("*.c"):
        program = NATIVE / source.stem
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source, "-lm"], check=True)


def version_of(*command: str) -> str:
    """The first line that a program says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip().splitlines()[0]


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator saw. Latencies in microseconds."""

    all_calls: int
    calls: int
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float
    late: int

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


class LoadFailedError(Exception):
    """An answer was not 2xx, or a connection broke: the run is worth nothing."""


def run_load(
    target: str, connections: int, seconds: float, request: Path, rate: float = 0, core: str = ""
) -> Load:
    """Ask `target` for a while; closed loop without `rate` (calls per second, Poisson).

    Raises:
        LoadFailedError: see there.
    """
    command = [str(NATIVE / "load"), target, str(connections), str(seconds), str(request)]
    if rate:
        command.append(str(rate))
    if core:
        command[:0] = ["taskset", "-c", core]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if ended.returncode:
        raise LoadFailedError(f"{target}: {ended.stderr.strip()}")
    return Load(**json.loads(ended.stdout))


def request_file(folder: Path, name: str, path: str, body: bytes, token: str) -> Path:
    """Write one HTTP request as the load generator sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: bench\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    file = folder / name
    file.write_bytes(head.encode() + body)
    return file
