"""Objects that are nobody's business of ours, by name: what a pool must not take over.

The watches know only what carries our label. Before something is made, the others of its kind are
listed, once for all pools that wait for it: a thousand new pools would be five thousand questions.
"""

import asyncio

from pythonpool_operator.cluster import Cluster
from pythonpool_operator.kinds import POOL_LABEL, Json, Kind

_Place = tuple[Kind, str]
_Names = dict[tuple[str, str], str]


class Namesakes:
    """Asks for objects without our label."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._next: dict[_Place, asyncio.Task[_Names]] = {}
        self._last: dict[_Place, asyncio.Task[_Names]] = {}

    async def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object of that name that has not our label, as of now.

        Raises:
            ApiError: the API server did not answer.
        """
        place = (kind, namespace)
        task = self._next.get(place)
        if task is None:
            task = self._next[place] = asyncio.create_task(self._list(place, self._last.get(place)))
        found = await asyncio.shield(task)
        return await self._cluster.get(*place, name) if (namespace, name) in found else None

    async def _list(self, place: _Place, before: "asyncio.Task[_Names] | None") -> _Names:
        """One list after the other: who asks while one is under way shares the next."""
        if before is not None:
            await asyncio.wait([before])
        kind, namespace = place
        self._last[place] = self._next.pop(place)
        return await self._cluster.names(kind, namespace, f"!{POOL_LABEL}", is_cached=True)
