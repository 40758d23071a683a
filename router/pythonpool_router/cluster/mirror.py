"""The objects of one kind as list and watch tell them: what each event does. Pure.

Keeps its last answer whatever happens; only a new list, or an event, changes it.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Json = dict[str, Any]
T = TypeVar("T")

_GONE = 410


class Expired(Exception):
    """The version that the watch began from is too old for the API server: list again."""


class WatchError(Exception):
    """The API server ended the watch with an error."""


class Mirror(Generic[T]):
    """Objects by name, each read by `read`; what it returns None for is left out.

    Attributes:
        items: what is there now.
        version: where the next watch begins; empty: list first.
        is_synced: a whole list was seen once.
    """

    def __init__(self, read: Callable[[Json], T | None]) -> None:
        self.items: dict[str, T] = {}
        self.version = ""
        self.is_synced = False
        self._read = read

    def replace(self, objects: list[Json], version: str) -> bool:
        """A whole list; whether anything is other than before."""
        before, was_synced = self.items, self.is_synced
        self.items = {}
        for each in objects:
            self._put(each)
        self.version = version
        self.is_synced = True
        return self.items != before or not was_synced

    def take(self, event: Json) -> bool:
        """One event of the watch; whether anything changed.

        Raises:
            Expired: list again.
            WatchError: watch again, later.
            KeyError, TypeError: it is no event.
        """
        kind, told = event["type"], event["object"]
        if kind == "ERROR":
            if told.get("code") == _GONE:
                raise Expired(told.get("message", ""))
            raise WatchError(told.get("message", "no reason given"))
        name = told["metadata"].get("name", "")
        before = self.items.get(name)
        if kind == "DELETED":
            self._read(told)  # its last state may say why
            self.items.pop(name, None)
        elif kind in ("ADDED", "MODIFIED"):
            self._put(told)
        self.version = told["metadata"]["resourceVersion"]
        return self.items.get(name) != before

    def expire(self) -> None:
        """The next thing is a list; until then everything stays."""
        self.version = ""

    def _put(self, told: Json) -> None:
        name = told["metadata"]["name"]
        read = self._read(told)
        if read is None:
            self.items.pop(name, None)
        else:
            self.items[name] = read
