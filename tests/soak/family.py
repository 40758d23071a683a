"""The processes below one `up`, by role, read from /proc; what they hold, what is left of them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from soak.faults import Role

_ROLES: dict[str, Role] = {
    "pythonpool_router": "router",
    "pythonpool_worker.agent": "agent",
    "pythonpool_worker.keeper": "keeper",
    "pythonpool_worker.template": "template",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One process below `up`; `role` is None for what commands started."""

    pid: int
    parent: int
    role: Role | None
    state: str
    nice: int


@dataclass(frozen=True, slots=True)
class Size:
    """What a process holds."""

    memory_bytes: int
    descriptors: int
    threads: int


def family(root: int) -> list[Member]:
    """All living descendants of `root`, zombies too, lowest pid first."""
    found = {member.pid: member for member in map(_member, _pids()) if member is not None}
    below = {root}
    grew = True
    while grew:
        more = {pid for pid, one in found.items() if one.parent in below} - below
        below |= more
        grew = bool(more)
    return [_told_apart(found[pid], found) for pid in sorted(below - {root}) if pid in found]


def _told_apart(member: Member, among: dict[int, Member]) -> Member:
    """An executor has its template's command line, but is nicer than their keeper."""
    parent = among.get(member.parent)
    if member.role == "template" and parent is not None and member.nice > parent.nice:
        return replace(member, role="executor")
    return member


def of_role(root: int, role: Role) -> list[int]:
    """The pids of one role below `root`."""
    return [one.pid for one in family(root) if one.role == role and one.state != "Z"]


def worker_of(pid: int) -> str | None:
    """The worker that a process belongs to, by its command line; None: to none, or it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    files = [Path(word) for word in words if word.endswith("/worker.json")]
    return files[0].parent.name if files else None


def size(pid: int) -> Size | None:
    """What a process holds now; None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in fields:
        return None
    memory = int(fields["VmRSS"].split()[0]) * 1024
    return Size(memory, descriptors, int(fields["Threads"]))


def largest_by_role(root: int) -> dict[str, Size]:
    """For `up` and each role that lives on: the most that one process of it holds."""
    largest: dict[str, Size] = {}
    pids = [(root, "up"), *((one.pid, one.role) for one in family(root) if one.role)]
    for pid, role in pids:
        held = size(pid)
        if held is not None:
            before = largest.get(role, held)
            largest[role] = Size(
                max(before.memory_bytes, held.memory_bytes),
                max(before.descriptors, held.descriptors),
                max(before.threads, held.threads),
            )
    return largest


def marked(mark: str) -> list[int]:
    """Every process of this machine that has `mark` in its environment or its command line."""
    found = []
    for pid in _pids():
        try:
            text = Path(f"/proc/{pid}/environ").read_bytes()
            text += Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in text and pid != os.getpid():
            found.append(pid)
    return found


def shared_memory() -> set[str]:
    """What is in /dev/shm."""
    return set(os.listdir("/dev/shm"))


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _member(pid: int) -> Member | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    role = next((_ROLES[word] for word in command[:6] if word in _ROLES), None)
    return Member(pid, int(fields[1]), role, fields[0], nice=int(fields[16]))
