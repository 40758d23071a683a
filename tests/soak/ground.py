"""The `up` that a soak strikes: its home, its pool, its link proxies, and what is left of it."""

import asyncio
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flows.house import House, manifest, open_house
from soak.callers import POOL, Target
from soak.family import Size, family, largest_by_role, marked, shared_memory
from soak.linkproxy import LinkProxy

ROOT = Path(__file__).parents[2]
ROUTERS = 2
REPLICAS = 3
SLOTS = 2
SETTLE_SECONDS = 30.0
GONE_SECONDS = 5.0

_SPEC = """
adapter: ledger:Ledger
config: {{journal: {journal}}}
replicas: {replicas}
concurrency: {slots}
resources: {{memory: 1Gi, executorMemory: 256Mi}}
timeoutSeconds: 5
maxTimeoutSeconds: 60
queue: {{maxLength: 60, timeoutSeconds: 5}}
sessions: {{maxPerWorker: 8, drainSeconds: 5}}
"""


@dataclass(slots=True)
class Ground:
    """One `up` with its proxies.

    Attributes:
        home: its PYTHONPOOL_HOME; the journal and the adapter lie there too.
        house: the running `up`.
        proxies: between agents and routers, one for each router.
        isolation: of the pool.
    """

    home: Path
    house: House
    proxies: list[LinkProxy]
    isolation: str

    @property
    def journal(self) -> Path:
        """What the adapter writes."""
        return self.home / "journal"

    @property
    def root(self) -> int:
        """The pid of `up`."""
        return self.house.process.pid

    @property
    def target(self) -> Target:
        """Where callers call."""
        parts = urlsplit(self.house.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return Target(parts.hostname, parts.port, self.house.token)

    def change_spec(self, mark: str) -> None:
        """Give `up` a spec that replaces all workers."""
        _write_spec(self.home, self.isolation, f"env: [{{name: MARK, value: '{mark}'}}]\n")
        self.house.read_again()

    async def recycle(self, choice: float) -> str:
        """Recycle one worker through the API; what became of it."""
        connection = self.target.connection()
        path = f"/v1/pools/{POOL}/workers"
        try:
            names = [row["name"] for row in (await connection.ask("GET", path)).json["items"]]
            if not names:
                return "there is none"
            name = names[min(int(choice * len(names)), len(names) - 1)]
            return f"{name} {(await connection.ask('POST', f'{path}/{name}/recycle')).status}"
        except ConnectionError:
            return "the router was away"
        finally:
            await connection.close()

    async def settled(self) -> dict[str, Size]:
        """Wait until every slot is free and nothing else runs; what each role holds then.

        Raises:
            AssertionError: it does not come to that.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while (unrest := await self._unrest()) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        assert not unrest, f"not at rest after {SETTLE_SECONDS:.0f} s: {unrest}"
        return largest_by_role(self.root)

    async def _unrest(self) -> str:
        for index in range(ROUTERS):
            shown = await self._shown(index)
            if isinstance(shown, str):
                return f"router {index}: {shown}"
            if not (shown["available"] == shown["total"] == REPLICAS * SLOTS):
                return f"router {index}: {shown}"
            if shown["busy"] or shown["queued"] or shown["sessions"]:
                return f"router {index}: {shown}"
        members = family(self.root)
        zombies = [one.pid for one in members if one.state == "Z"]
        strays = [one.pid for one in members if one.role is None]
        return f"zombies {zombies}, strays {strays}" if zombies or strays else ""

    async def _shown(self, router: int) -> dict[str, Any] | str:
        """The pool as one router shows it, or why it does not."""
        path = self.home / "run" / f"router-{router}.sock"
        connection = replace(self.target, unix=path).connection()
        try:
            reply = await connection.ask("GET", f"/v1/pools/{POOL}")
            return dict(reply.json) if reply.status == 200 else f"status {reply.status}"
        except ConnectionError as error:
            return str(error)
        finally:
            await connection.close()

    async def close(self) -> list[str]:
        """End `up`; what is wrong with its end."""
        code = await asyncio.to_thread(self.house.close)
        for proxy in self.proxies:
            await proxy.close()
        wrong = [] if code == 0 else [f"up ended with {code}"]
        deadline = time.monotonic() + GONE_SECONDS
        while (left := marked(str(self.home))) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if left:
            wrong.append(f"processes are left: {left}")
        if files := sorted(path.name for path in (self.home / "run").iterdir()):
            wrong.append(f"files are left in run/: {files}")
        return wrong

    def clear(self) -> None:
        """Remove the home."""
        shutil.rmtree(self.home, ignore_errors=True)


async def prepare(isolation: str) -> Ground:
    """Start `up` on a pool of the journalling adapter."""
    home = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    (home / "tmp").mkdir()
    # Reaches what commands start, too: so they are found when they are left.
    os.environ["TMPDIR"] = str(home / "tmp")
    folder = home / "pool"
    folder.mkdir()
    (folder / "ledger.py").symlink_to(Path(__file__).with_name("ledger.py"))
    (folder / "examples").symlink_to(ROOT / "examples")
    file = _write_spec(home, isolation)
    proxies = [_proxy(home, index) for index in range(ROUTERS)]
    for proxy in proxies:
        proxy.start()
    try:
        house = await asyncio.to_thread(open_house, home, [file], "--routers", str(ROUTERS))
    except AssertionError:
        shutil.rmtree(home)
        raise
    return Ground(home, house, proxies, isolation)


def _write_spec(home: Path, isolation: str, more: str = "") -> Path:
    file = home / "pool" / "pools.yaml"
    spec = _SPEC.format(journal=home / "journal", replicas=REPLICAS, slots=SLOTS)
    spec += f"isolation: {isolation}\n"
    file.write_text(manifest(POOL, spec + more))
    return file


def _proxy(home: Path, index: int) -> LinkProxy:
    return LinkProxy(home / "run" / f"link-{index}.sock", home / f"aside-{index}.sock")


def growth(before: dict[str, Size], after: dict[str, Size]) -> list[str]:
    """What is not flat; half as much memory again and 32 MiB, 8 descriptors, 2 threads are."""
    wrong = []
    # An executor may keep what its commands left in it until it ends.
    for role in sorted((before.keys() & after.keys()) - {"executor"}):
        old, new = before[role], after[role]
        if new.memory_bytes > old.memory_bytes * 1.5 + 32 * 2**20:
            wrong.append(f"memory of {role}: {old.memory_bytes} to {new.memory_bytes} bytes")
        if new.descriptors > old.descriptors + 8:
            wrong.append(f"descriptors of {role}: {old.descriptors} to {new.descriptors}")
        if new.threads > old.threads + 2:
            wrong.append(f"threads of {role}: {old.threads} to {new.threads}")
    return wrong


def left_in_shared_memory(before: set[str]) -> list[str]:
    """What is in /dev/shm that was not there, and is ours."""
    left = sorted(name for name in shared_memory() - before if "pythonpool" in name)
    return [f"files are left in /dev/shm: {left}"] if left else []
