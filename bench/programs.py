"""The programs that the benchmark needs: peers from the distribution, its own from source."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"
NATIVE = OUT / "native"
PEERS = ("nginx", "haproxy", "wrk", "strace", "gcc")


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


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator saw. Latencies in microseconds, from the time a call was due.

    Attributes:
        all_calls: answers with 2xx, those of the first tenth too: what CPU is divided by.
        calls: answers with 2xx within `seconds`.
        late: calls of an open loop that nobody was free to make until the end.
        refused: answers 429 within `seconds`, where these were allowed.
        cpu_seconds: CPU time of the processes that were asked about, while `cpu_calls` were made:
            in the time that is counted.
    """

    all_calls: int
    calls: int
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float
    late: int
    refused: int = 0
    refused_p50_us: float = 0.0
    refused_p99_us: float = 0.0
    cpu_seconds: float = 0.0
    cpu_calls: int = 0

    @property
    def cpu_us(self) -> float:
        """CPU microseconds a call of the processes that were asked about."""
        if not self.cpu_calls:
            raise LoadFailedError("no CPU was asked about, or no call came to its end")
        return self.cpu_seconds / self.cpu_calls * 1e6

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


class LoadFailedError(Exception):
    """An answer was not 2xx or none came, or a connection broke: the run is worth nothing."""


class RunningLoad:
    """A load that runs; ask for its `result` once it is over."""

    def __init__(
        self, target: str, connections: int, seconds: float, request: Path | Sequence[Path],
        rate: float = 0, core: str = "", takes_refusals: bool = False, pids: Sequence[int] = (),
    ) -> None:  # fmt: skip
        files = [request] if isinstance(request, Path) else request
        self._target, self._patience = target, seconds + 120
        command = ["taskset", "-c", core] if core else []
        command += [str(NATIVE / "load"), target, str(connections), str(seconds)]
        command.append(",".join(map(str, files)))
        command += [f"rate={rate}"] * bool(rate) + ["refusals"] * takes_refusals
        command += [f"cpu={','.join(map(str, pids))}"] * bool(pids)
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def result(self) -> Load:
        """Wait for the end.

        Raises:
            LoadFailedError: see there.
        """
        try:
            out, error = self._process.communicate(timeout=self._patience)
        finally:
            self._process.kill()
        if self._process.returncode:
            raise LoadFailedError(f"{self._target}: {error.strip()}")
        load = Load(**json.loads(out))
        if not load.all_calls and not load.refused:
            raise LoadFailedError(f"{self._target}: no answer came in {load.seconds:g} s")
        return load


def run_load(
    target: str, connections: int, seconds: float, request: Path | Sequence[Path], rate: float = 0,
    core: str = "", takes_refusals: bool = False, pids: Sequence[int] = (),
) -> Load:  # fmt: skip
    """Ask `target` for a while; closed loop without `rate` (calls per second, Poisson).

    Of several requests each connection has one, in turn. CPU is counted of `pids`.

    Raises:
        LoadFailedError: see there.
    """
    load = RunningLoad(target, connections, seconds, request, rate, core, takes_refusals, pids)
    return load.result()


ANOTHER = "traceparent: 00-0000000000000001@@@@@@@@@@@@@@@@-00000000000000a1-00\r\n"
"""A field that is another one in each request: the load generator counts in place of the @."""


def request_file(
    folder: Path, name: str, path: str, body: bytes, token: str, fields: str = "",
    accept: str = "*/*",
) -> Path:  # fmt: skip
    """Write one HTTP request as the load generator sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nAccept: {accept}\r\nUser-Agent: bench\r\n{fields}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    file = folder / name
    file.write_bytes(head.encode() + body)
    return file
