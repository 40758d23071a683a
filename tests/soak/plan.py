"""The pool that a soak strikes: its spec, and the variants of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_SPEC = """
adapter: ledger:Ledger
config: {{journal: {journal}}}
replicas: {plan.replicas}
concurrency: {plan.slots}
isolation: {plan.isolation}
onDisconnect: {plan.on_disconnect}
resources: {{memory: {plan.memory}, executorMemory: 256Mi}}
timeoutSeconds: 5
maxTimeoutSeconds: 60
queue: {{maxLength: {plan.line}, timeoutSeconds: {plan.line_seconds}}}
sessions: {{maxPerWorker: {plan.sessions}, drainSeconds: 5, persistence: {plan.persistence}}}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One pool.

    Attributes:
        replicas: workers.
        slots: of each.
        isolation: process or thread.
        on_disconnect: what becomes of a call whose caller has gone.
        persistence: whether a session outlives the kill of its executor.
        is_idempotent: callers use the command that may be run again.
        line: how many may wait.
        line_seconds: how long, when a caller does not say.
        sessions: at most so many per worker.
        memory: of each worker.
        routers: that share the port.
    """

    replicas: int = 3
    slots: int = 2
    isolation: Literal["process", "thread"] = "process"
    on_disconnect: Literal["Cancel", "Finish"] = "Cancel"
    persistence: Literal["Worker", "None"] = "Worker"
    is_idempotent: bool = False
    line: int = 60
    line_seconds: int = 5
    sessions: int = 8
    memory: str = "1Gi"
    routers: int = 2

    @property
    def command(self) -> str:
        """What single calls ask for."""
        return "again" if self.is_idempotent else "work"

    @property
    def all_slots(self) -> int:
        """Of all workers."""
        return self.replicas * self.slots

    def spec(self, journal: Path) -> str:
        """The pool's spec as YAML."""
        return _SPEC.format(plan=self, journal=journal)


VARIANTS: dict[str, Plan] = {
    "plain": Plan(),
    "finish": Plan(on_disconnect="Finish"),
    "none": Plan(persistence="None"),
    "idempotent": Plan(is_idempotent=True),
    "thread": Plan(isolation="thread"),
    "one-router": Plan(routers=1),
}
"""The same load and faults on other pools."""
