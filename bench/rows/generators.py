"""The load generator itself, beside wrk: what it measures must not be its own doing."""

import json
import subprocess
from pathlib import Path

from bench.contenders import contenders
from bench.figures import Row, paired
from bench.programs import LoadFailedError, run_load
from bench.registry import Effort
from bench.routers import ECHO, LOAD_CORE, TOKEN, Contender
from bench.rows.small import SMALL, small_request
from bench.turns import take_turns

_CONNECTIONS = 32
_SCRIPT = """wrk.method = "POST"
wrk.body = {body}
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency)
  local errors = summary.errors
  local wrong = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("\\n%d %d %d\\n", summary.requests, summary.duration, wrong))
end
"""


def measure(folder: Path, effort: Effort) -> list[Row]:
    """Calls per second that each gets out of nginx and of the router."""
    script = folder / "post.lua"
    script.write_text(_SCRIPT.format(body=json.dumps(SMALL.decode()), token=TOKEN))
    seconds = max(effort.seconds, 1.0)
    rows = []
    with contenders(folder) as found:
        request = small_request(folder)
        for name in ("nginx", "router"):
            server = found[name]

            def once(generator: str, server: Contender = server) -> float:
                if generator == "wrk":
                    return _wrk(server, script, seconds)
                target = server.targets["tcp"]
                return run_load(target, _CONNECTIONS, seconds, request, core=LOAD_CORE).rate

            rates = take_turns(("wrk", "own"), effort.rounds, effort.chance, once)
            what = f"calls per second by the own load generator against wrk, {name}"
            rows.append(Row(f"generators.{name}", what, paired(rates["own"], rates["wrk"])))
    return rows


def _wrk(server: Contender, script: Path, seconds: float) -> float:
    command = [
        "taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{round(seconds)}s",
        "-s", str(script), f"http://127.0.0.1:{server.port}{ECHO}",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests, microseconds, wrong = map(int, said.strip().splitlines()[-1].split())
    if wrong or not requests:
        raise LoadFailedError(said)
    return requests / microseconds * 1e6
