"""The `up` that a soak strikes: its home, its pool, its link proxies, and what is left of it."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flows.house import House, manifest, open_house
from soak.callers import POOL, Target
from soak.family import Size, family, largest_by_role, marked, shared_memory
from soak.linkproxy import LinkProxy
from soak.plan import Plan

Stalled = Callable[[float, float], float]
"""Seconds between two times in which the machine stood still."""

ROOT = Path(__file__).parents[2]
SETTLE_SECONDS = 30.0
GONE_SECONDS = 5.0


@dataclass(slots=True)
class Ground:
    """One `up` with its proxies.

    Attributes:
        home: its PYTHONPOOL_HOME; the journal and the adapter lie there too.
        house: the running `up`.
        proxies: between agents and routers, one for each router.
        plan: of the pool.
    """

    home: Path
    house: House
    proxies: list[LinkProxy]
    plan: Plan

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

    def router(self, index: int) -> Target:
        """Where one router can be called alone."""
        return replace(self.target, unix=self.home / "run" / f"router-{index}.sock")

    def change_spec(self, mark: str) -> None:
        """Give `up` a spec that replaces all workers."""
        _write_spec(self.home, self.plan, f"env: [{{name: MARK, value: '{mark}'}}]\n")
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

    async def delete_sessions(self) -> int:
        """Delete those whose callers could not, because their router was away; how many."""
        connection = self.target.connection()
        try:
            items = (await connection.ask("GET", f"/v1/sessions?pool={POOL}")).json["items"]
            for row in items:
                await connection.ask("DELETE", f"/v1/sessions/{row['session_id']}")
        finally:
            await connection.close()
        return len(items)

    async def settled(self, stalled: Stalled = lambda _began, _ended: 0.0) -> dict[str, Size]:
        """Wait until every slot is free and nothing else runs; what each role holds then.

        Seconds in which the machine stood still do not count.

        Raises:
            AssertionError: it does not come to that.
        """
        began = time.monotonic()
        while unrest := await self._unrest():
            now = time.monotonic()
            if now - began - stalled(began, now) > SETTLE_SECONDS:
                break
            await asyncio.sleep(0.2)
        assert not unrest, f"not at rest after {SETTLE_SECONDS:.0f} s: {unrest}"
        return largest_by_role(self.root)

    async def _unrest(self) -> str:
        if busy := await self.busy():
            return busy
        members = family(self.root)
        zombies = [one.pid for one in members if one.state == "Z"]
        strays = [one.pid for one in members if one.role is None]
        # Those that were replaced are drained, and on no router's list, but not gone yet.
        agents = sum(one.role == "agent" for one in members)
        wrong = zombies or strays or agents > self.plan.replicas
        return f"zombies {zombies}, strays {strays}, {agents} agents" if wrong else ""

    async def busy(self) -> str:
        """Which router does not show all slots free and nobody waiting; empty when each does."""
        for index in range(self.plan.routers):
            shown = await self._shown(index)
            if isinstance(shown, str):
                return f"router {index}: {shown}"
            if not (shown["available"] == shown["total"] == self.plan.all_slots):
                return f"router {index}: {shown}"
            if shown["busy"] or shown["queued"] or shown["sessions"]:
                return f"router {index}: {shown}"
        return ""

    async def counts(self) -> tuple[int, int]:
        """How many calls run, by any router's view, and how many wait, at all of them together."""
        shown = [await self._shown(index) for index in range(self.plan.routers)]
        known = [each for each in shown if not isinstance(each, str)]
        return max((each["busy"] for each in known), default=0), sum(e["queued"] for e in known)

    async def _shown(self, router: int) -> dict[str, Any] | str:
        """The pool as one router shows it, or why it does not."""
        connection = self.router(router).connection()
        try:
            reply = await connection.ask("GET", f"/v1/pools/{POOL}")
            return dict(reply.json) if reply.status == 200 else f"status {reply.status}"
        except ConnectionError as error:
            return str(error)
        finally:
            await connection.close()

    async def close(self) -> list[str]:
        """End `up`; what is wrong with its end."""
        try:
            code = await asyncio.to_thread(self.house.close)
        except subprocess.TimeoutExpired as error:
            notes = " ".join(error.__notes__)
            return [f"up did not end: {error}: {notes}", *await self._gone()]
        wrong = [] if code == 0 else [f"up ended with {code}"]
        wrong += await self._gone()
        if files := sorted(path.name for path in (self.home / "run").iterdir()):
            wrong.append(f"files are left in run/: {files}")
        return wrong

    async def kill(self) -> tuple[list[str], float]:
        """Kill -9 of `up` itself; what is left of it, and when the last process had gone."""
        began = time.monotonic()
        self.house.process.kill()
        await asyncio.to_thread(self.house.process.communicate)
        return await self._gone(), time.monotonic() - began

    async def _gone(self) -> list[str]:
        deadline = time.monotonic() + GONE_SECONDS
        for proxy in self.proxies:
            await proxy.close()
        while (left := marked(str(self.home))) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return [f"processes are left: {left}"] if left else []

    def clear(self) -> None:
        """Remove the home."""
        shutil.rmtree(self.home, ignore_errors=True)


async def prepare(plan: Plan) -> Ground:
    """Start `up` on a pool of the journalling adapter."""
    home = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    (home / "tmp").mkdir()
    # Reaches what commands start, too: so they are found when they are left.
    os.environ["TMPDIR"] = str(home / "tmp")
    folder = home / "pool"
    folder.mkdir()
    (folder / "ledger.py").symlink_to(Path(__file__).with_name("ledger.py"))
    (folder / "examples").symlink_to(ROOT / "examples")
    file = _write_spec(home, plan)
    proxies = [_proxy(home, index) for index in range(plan.routers)]
    for proxy in proxies:
        proxy.start()
    try:
        house = await asyncio.to_thread(open_house, home, [file], "--routers", str(plan.routers))
    except AssertionError:
        shutil.rmtree(home)
        raise
    return Ground(home, house, proxies, plan)


def _write_spec(home: Path, plan: Plan, more: str = "") -> Path:
    file = home / "pool" / "pools.yaml"
    file.write_text(manifest(POOL, plan.spec(home / "journal") + more))
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
