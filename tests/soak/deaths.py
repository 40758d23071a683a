"""Watches that what ran for a call that was given up is dead soon: by the journal and /proc."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from soak.history import Death, Sent

_LOOK_SECONDS = 0.1


@dataclass(slots=True)
class DeathWatch:
    """Sees when processes die; `deaths` has those that did, `lives` who does not yet.

    Attributes:
        journal: is read as it grows, for the pid of each call.
        sent: the callers' log, as it grows.
    """

    journal: Path
    sent: list[Sent]
    deaths: list[Death] = field(default_factory=list)
    lives: dict[str, int] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)
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
            if not _is_alive(pid):
                self.deaths.append(Death(nonce, pid, now))
                del self.lives[nonce]

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
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            entry = json.loads(line)
            self._pids[entry["nonce"]] = entry["pid"]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
