"""`GET /load` of the monitoring port: what the operator goes by when it takes workers away. Pure.

Internal, cluster only: no token, no promise to anybody else. docs/concepts/protocols.md, section 8.
"""

from typing import Any

from pythonpool import messages
from pythonpool_router.pools import Pool, Pools
from pythonpool_router.standing import linked
from pythonpool_router.workers import Worker


def load_object(instance: str, pools: Pools, now: float) -> dict[str, Any]:
    """Every worker that has dialled this router, and those that it could not speak with.

    Args:
        instance: this life of the router.
        now: monotonic seconds; who was refused long ago, and came no more, is left out.
    """
    return {
        "router": instance,
        "protocol": [messages.PROTOCOL_MIN, messages.PROTOCOL_MAX],
        "pools": [_pool(pool, now) for pool in pools.by_name.values()],
    }


def _pool(pool: Pool, now: float) -> dict[str, Any]:
    return {
        "name": pool.name,
        "workers": [_worker(worker) for worker in linked(pool)],
        "refused": [
            {"name": name, "protocol": list(protocol)}
            for name, protocol in pool.strangers.recent(now).items()
        ],
    }


def _worker(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "busy": worker.taken,
        "sessions": worker.sessions,
        "draining": worker.state == "draining",
        "replace": worker.replace,
        "protocol": worker.protocol,
    }
