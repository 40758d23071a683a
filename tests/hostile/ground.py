"""An `up` whose one pool writes its executions down, and what must hold of it afterwards."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flows.house import House, manifest, wait_for
from hostile.rawhttp import Door, Said

_SPEC = """
adapter: journal:Journal
config: {{path: {path}}}
concurrency: 4
resources: {{memory: 512Mi}}
maxTimeoutSeconds: 86400
"""


def prepare(home: Path) -> str:
    """Put the adapter into `home`; the manifest of its pool."""
    shutil.copy(Path(__file__).with_name("journal.py"), home / "journal.py")
    (home / "executions").touch()
    return manifest("journal", _SPEC.format(path=home / "executions"))


@dataclass(frozen=True, slots=True)
class Ground:
    """What hostile callers meet."""

    house: House

    @property
    def door(self) -> Door:
        """The router's own port."""
        host, port = self.house.url.removeprefix("http://").split(":")
        return Door(host, int(port), self.house.token)

    @property
    def router(self) -> int:
        """The process of the router."""
        pid: int = self.house.content["routers"][0]["pid"]
        return pid

    def executed(self) -> Counter[str]:
        """How often each mark was executed."""
        return Counter((self.house.home / "executions").read_text().split())

    def serves(self) -> None:
        """Calls are answered as before, and every slot is free."""
        with self.house.client() as client:
            assert client.execute("journal", "note", {"mark": "ordinary"}) == "ordinary"
        wait_for(self._is_at_rest)

    def _is_at_rest(self) -> bool:
        with self.house.client() as client:
            pool = client.pool("journal")
        return (pool["available"], pool["busy"], pool["queued"]) == (pool["total"], 0, 0)

    def resident_bytes(self) -> int:
        """What the router has in memory."""
        text = Path(f"/proc/{self.router}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """How many the router has open."""
        return len(os.listdir(f"/proc/{self.router}/fd"))


def ran_once_each(said: list[Said], executed: Counter[str]) -> None:
    """No mark ran twice; what ran was answered with 200, but what was cut or left without it."""
    for one in said:
        ran = sum(executed[mark] for mark in one.marks)
        assert max(executed[mark] for mark in one.marks) <= 1, one
        if not one.was_reset:
            assert ran <= one.statuses.count(200) + one.has_left, one


def ids_are_unique(said: list[Said]) -> None:
    """Never two answers to one call."""
    ids = [
        answer.fields["pythonpool-execution-id"]
        for one in said
        for answer in one.answers
        if "pythonpool-execution-id" in answer.fields
    ]
    twice = [each for each, times in Counter(ids).items() if times > 1]
    assert twice == [], f"answered twice: {twice}"
