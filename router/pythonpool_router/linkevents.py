"""What a link tells those above it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pythonpool.errors import PythonPoolError
from pythonpool_router.call import Call

if TYPE_CHECKING:
    from pythonpool_router.workers import Worker


class LinkEvents(ABC):
    """What a link tells upwards; dispatch listens."""

    @abstractmethod
    def status(self, worker: "Worker", news: dict[str, Any]) -> None:
        """A STATUS came. Raises KeyError, TypeError or ValueError when it is not one."""

    @abstractmethod
    def draining(self, worker: "Worker") -> None:
        """The worker takes no new calls."""

    @abstractmethod
    def free(self, worker: "Worker", slots: int) -> None:
        """The worker has free slots and nobody waits for them."""

    @abstractmethod
    def offered(self, worker: "Worker", secret: str | None) -> bool:
        """A slot (or the session) is kept for this router; return whether a call was sent."""

    @abstractmethod
    def refused(self, call: Call, worker: "Worker", reason: int) -> None:
        """The worker did not take the call; nothing has started."""

    @abstractmethod
    def ended(self, call: Call, worker: "Worker", slot_free: bool) -> None:
        """The worker has done with the call (terminal frame)."""

    @abstractmethod
    def failed(self, call: Call, worker: "Worker", error: PythonPoolError) -> None:
        """The call ended with an error at the worker."""

    @abstractmethod
    def broken(self, worker: "Worker", calls: list[Call]) -> None:
        """The link is gone; `calls` were sent and have no answer."""
