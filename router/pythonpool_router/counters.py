"""The router's own numbers: integers and buckets, cheap enough for every call.

Read by the metrics collector; knows neither Prometheus nor HTTP.
"""

from bisect import bisect_left

# Seconds: from the fastest echo to the longest training.
BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0,
)  # fmt: skip


MAX_COMMANDS = 1000
MAX_ROWS = 8 * MAX_COMMANDS
"""Commands, and pairs of command and code, that a pool is counted by; a worker whose catalogue is
always another one must not fill the memory. What comes after that counts without its name."""


class Histogram:
    """Counts of seconds in the buckets of BOUNDS; the last of `counts` is over all bounds.

    Attributes:
        counts: per bucket, not cumulative; one longer than BOUNDS.
        total_seconds: the sum of all that was observed.
    """

    __slots__ = ("counts", "total_seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total_seconds += seconds


class PoolCounters:
    """What one pool's calls came to, through this router.

    Attributes:
        executions: `(command, code)` to number; `code` is `ok` or an error code, refusals included.
            `command` is one of the adapter's catalogue, else empty.
        execution_seconds: command to histogram of the time to run, of calls that ran.
        queue_wait: seconds from the arrival of a call until it was sent, of calls that were sent.
        session_ends: reason to number; counted by the router of index 0 only, so that the sum over
            routers is right.
        worker_exits: cause to number; counted as `session_ends`.
    """

    __slots__ = (
        "execution_seconds",
        "executions",
        "queue_wait",
        "session_ends",
        "worker_exits",
    )

    def __init__(self) -> None:
        self.executions: dict[tuple[str, str], int] = {}
        self.execution_seconds: dict[str, Histogram] = {}
        self.queue_wait = Histogram()
        self.session_ends: dict[str, int] = {}
        self.worker_exits: dict[str, int] = {}

    def count(self, command: str, code: str, number: int = 1) -> None:
        """So many calls ended with `code`."""
        executions = self.executions
        key = (command, code)
        known = executions.get(key)
        if known is None and len(executions) >= MAX_ROWS:
            key = ("", code)
            known = executions.get(key)
        executions[key] = (known or 0) + number

    def served(self, command: str, runs_us: list[int]) -> None:
        """Calls ended with their results after they ran for `runs_us` microseconds."""
        self.count(command, "ok", len(runs_us))
        histogram = self._histogram(command)
        counts = histogram.counts
        for run_us in runs_us:
            counts[bisect_left(BOUNDS, run_us / 1e6)] += 1
        histogram.total_seconds += sum(runs_us) / 1e6

    def ran(self, command: str, seconds: float) -> None:
        """One call ran for `seconds`."""
        self._histogram(command).observe(seconds)

    def _histogram(self, command: str) -> Histogram:
        histograms = self.execution_seconds
        histogram = histograms.get(command)
        if histogram is None:
            name = command if len(histograms) < MAX_COMMANDS else ""
            histogram = histograms.setdefault(name, Histogram())
        return histogram
