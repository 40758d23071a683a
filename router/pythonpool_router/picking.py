"""Picking a pool for a call that names none (API.md 2.3). Pure."""

import difflib
from fnmatch import fnmatchcase

from pythonpool.errors import CommandNotFound
from pythonpool_router.pools import Pool, Pools


def pick_pool(pools: Pools, command: str, timeout_ms: int | None) -> Pool:
    """The pool for `command`: ready before not ready, a free slot, the timeout it covers.

    Raises:
        CommandNotFound: no pool takes it; the detail lists near names.
    """
    everybody = list(pools.by_name.values())
    takers = [p for p in everybody if any(fnmatchcase(command, glob) for glob in p.operations)]
    offering = [p for p in everybody if command in p.commands]
    ready = [p for p in takers if p.is_ready and _may_offer(p, command)]
    ready = ready or [p for p in offering if p.is_ready]
    candidates = ready or takers or offering
    if not candidates:
        raise CommandNotFound(f'no pool offers a command "{command}"{_near(pools, command)}')
    return min(candidates, key=lambda pool: _rank(pool, timeout_ms))


def _may_offer(pool: Pool, command: str) -> bool:
    return not pool.commands or command in pool.commands


def _rank(pool: Pool, timeout_ms: int | None) -> tuple[bool, float, float, str]:
    asked = 0 if timeout_ms is None else timeout_ms
    fits = bool(pool.idle) and not pool.queued and pool.timeout_seconds * 1000 >= asked
    return not fits, _wait(pool), pool.timeout_seconds, pool.name


def _wait(pool: Pool) -> float:
    if pool.idle:
        return 0.0
    pool.settle()
    return (pool.queued + 1) * pool.promise.interval(pool.slots().total)


def _near(pools: Pools, command: str) -> str:
    names = sorted({name for pool in pools.by_name.values() for name in pool.commands})
    close = difflib.get_close_matches(command, names, n=5)
    return f"; near names are {', '.join(close)}" if close else ""
