"""kopf's storages that keep nothing: a level-triggered operator compares no two forms of an object.

With kopf's own, every event copies the whole object several times: half of the operator's CPU.
"""

from typing import Any

import kopf


class NoDiffs(kopf.DiffBaseStorage):
    """No last handled form of an object is kept, and none is made."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of an object counts."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """There is none."""

    def store(self, **_: Any) -> None:
        """Nothing is written."""


class NoProgress(kopf.ProgressStorage):
    """No handler is ever retried, so none has any progress."""

    def fetch(self, **_: Any) -> None:
        """There is none."""

    def store(self, **_: Any) -> None:
        """Nothing is written."""

    def purge(self, **_: Any) -> None:
        """There is nothing to purge."""

    def touch(self, **_: Any) -> None:
        """Nothing is written."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """As it is."""
        return essence
