"""Watches that what ran for a call that was given up is dead soon: by the journal and /proc."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from soak.history import Death, Sent, whole_lines

_LOOK_SECONDS = 0.1
_TOO_LONG_SECONDS = 1.0


def _quiet(_text: str) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class DeathWatch:
    """Sees when processes die; `deaths` has those that did, `lives` who does not yet.

    Attributes:
        journal: is read as it grows, for the pid of each call.
        sent: the callers' log, as it grows.
        report: is told what a process that lives too long, and its keeper, do just then.
    """

    journal: Path
    sent: list[Sent]
    deaths: list[Death] = field(default_factory=list)
    report: Callable[[str], None] = _quiet
    lives: dict[str, int] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _read_bytes: int = 0
    _read_calls: int = 0

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Once."""
        self._read()
        for call in self.sent[self._read_calls :]:
            if call.code in ("timeout", "gone") and call.nonce in self._pids:
                self.lives[call.nonce] = self._pids[call.nonce]
        self._read_calls = len(self.sent)
        now = time.monotonic()
        for nonce, pid in list(self.lives.items()):
            if nonce in self._ended:
                del self.lives[nonce]  # its process is free for the next call
            elif not _is_alive(pid):
                self.deaths.append(Death(nonce, pid, now))
                del self.lives[nonce]
            elif now > self._since.setdefault(nonce, now) + _TOO_LONG_SECONDS:
                self._since[nonce] = math.inf
                self.report(f"{nonce}: process {pid} lives on: {_standing(pid)}")

    async def over(self, seconds: float) -> None:
        """Return when nobody lives that should be dead, or after so long."""
        deadline = time.monotonic() + seconds
        while self.lives and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)

    def seen(self) -> tuple[Death, ...]:
        """All of them; those that live still have no time."""
        return (*self.deaths, *(Death(nonce, pid, None) for nonce, pid in self.lives.items()))

    def _read(self) -> None:
        if not self.journal.exists():
            return
        with self.journal.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        began, self._read_bytes = self._read_bytes, self._read_bytes + len(whole)
        for line in whole_lines(whole, began):
            entry = json.loads(line)
            self._pids[entry["nonce"]] = entry["pid"]
            if entry["is_end"]:
                self._ended.add(entry["nonce"])


def _standing(pid: int) -> str:
    """What a process and its parents do, by /proc."""
    shown: list[str] = []
    while pid > 1 and len(shown) < 3:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            where = Path(f"/proc/{pid}/wchan").read_text()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            break
        shown.append(f"{pid} {' '.join(words[3:4])} {fields[0]} in {where or 'user code'}")
        pid = int(fields[1])
    return "; ".join(shown)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
