"""What an agent is told when it starts, and what CONFIG may change while it runs.

Reads `worker.json` (protocols.md, section 6) without pydantic: the supervisor has checked the spec.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pythonpool.spec.quantities import Memory


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this worker is; `incarnation` is one life of the agent, `started_at` is RFC 3339."""

    pool: str
    worker: str
    incarnation: str
    started_at: str


@dataclass(frozen=True, slots=True)
class Warmup:
    """One command that every executor runs before its first call; `args` is JSON."""

    command: str
    args: bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """The part of a pool's spec that its agents go by.

    Attributes:
        generation: of the spec; a higher one that CONFIG brings wins.
        slots: calls that run at once.
        threads: one executor with that many threads, instead of one executor per slot.
        startup_seconds: what one warm-up command may take.
        finish_abandoned: a call whose caller has gone runs on.
        result_bytes: the most that one result may take.
        state_bytes: the most that a session's state may take to be kept.
        ttl_seconds: of a session that names none; `max_ttl_seconds` is the most it may name.
        max_sessions: sessions on this worker.
        drain_seconds: how long sessions go on while the worker drains.
        keeps_state: sessions survive the death of their executor (persistence Worker).
        max_calls: calls after which the worker is to be replaced, or None.
        max_age_seconds: age after which it is to be replaced, or None.
        memory_percent: of its limit, above which it is to be replaced.
        warmup: run by each executor before its first call.
    """

    generation: int
    slots: int
    threads: bool
    startup_seconds: float
    finish_abandoned: bool
    result_bytes: int
    state_bytes: int
    ttl_seconds: int
    max_ttl_seconds: int
    max_sessions: int
    drain_seconds: float
    keeps_state: bool
    max_calls: int | None
    max_age_seconds: int | None
    memory_percent: float
    warmup: tuple[Warmup, ...]

    def with_live(self, generation: int, spec: dict[str, Any]) -> "Settings":
        """These settings with what a running worker takes over from a newer spec."""
        new = read_spec(generation, spec)
        return replace(
            new,
            slots=self.slots,
            threads=self.threads,
            startup_seconds=self.startup_seconds,
            drain_seconds=self.drain_seconds,
            keeps_state=self.keeps_state,
            warmup=self.warmup,
        )


def byte_count(quantity: int | str) -> int:
    """Bytes of a Kubernetes quantity: `1024`, `"64Mi"`, `"2G"`.

    Raises:
        ValueError: it is not one.
    """
    return quantity if isinstance(quantity, int) else Memory.parse(quantity).bytes


def read_spec(generation: int, spec: dict[str, Any]) -> Settings:
    """The settings that a spec gives; absent fields have the defaults of API.md 1."""
    sessions = spec.get("sessions") or {}
    recycle = spec.get("recycle") or {}
    return Settings(
        generation=generation,
        slots=spec.get("concurrency", 1),
        threads=spec.get("isolation") == "thread",
        startup_seconds=(spec.get("healthCheck") or {}).get("startupSeconds", 120),
        finish_abandoned=spec.get("onDisconnect") == "Finish",
        result_bytes=byte_count((spec.get("results") or {}).get("maxBytes", "64Mi")),
        state_bytes=byte_count(sessions.get("maxStateBytes", "1Mi")),
        ttl_seconds=sessions.get("ttlSeconds", 3600),
        max_ttl_seconds=sessions.get("maxTtlSeconds", 86400),
        max_sessions=sessions.get("maxPerWorker", 16),
        drain_seconds=sessions.get("drainSeconds", 600),
        keeps_state=sessions.get("persistence", "Worker") != "None",
        max_calls=recycle.get("maxCalls"),
        max_age_seconds=recycle.get("maxAgeSeconds"),
        memory_percent=recycle.get("memoryPercent", 90),
        warmup=tuple(
            Warmup(each["command"], json.dumps(each.get("args") or {}).encode())
            for each in spec.get("warmup") or []
        ),
    )


@dataclass(frozen=True, slots=True)
class WorkerFile:
    """What `worker.json` says; `folder` is where it lies.

    `one_machine`: agent and keeper are processes of one user; else two containers of one pod.
    `recycles_in_place`: the pod is started again when it is to be replaced; no new one comes first.
    """

    pool: str
    worker: str
    settings: Settings
    folder: Path
    one_machine: bool
    recycles_in_place: bool


def read_worker_file(path: Path, worker: str | None) -> WorkerFile:
    """Read `worker.json`; `worker` is the name when it is not in the file.

    Raises:
        OSError: it can not be read.
        ValueError, KeyError: it is not what the supervisor, or the operator, writes.
    """
    document = json.loads(path.read_bytes())
    settings = read_spec(document["generation"], document["spec"])
    return WorkerFile(
        document["pool"],
        worker or document["worker"],
        settings,
        path.parent,
        bool(document.get("one_machine")),
        bool(document.get("recycles_in_place")),
    )
