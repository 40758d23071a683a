"""Names and their forms: the API group, pools, commands, workers, session handles, execution ids.

Used by every part; knows nothing but text.
"""

import re
import secrets
from dataclasses import dataclass

GROUP = "pythonpool.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "PythonPool"
PLURAL = "pythonpools"
SHORT_NAME = "pypool"
ADAPTER_GROUP = "pythonpool.adapters"

MAX_POOL_NAME = 40

_POOL = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")
_COMMAND = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
_WORKER = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_HANDLE = re.compile(
    r"(?P<pool>[a-z0-9-]{1,40})\.(?P<worker>[a-z0-9-]{1,63})"
    r"\.(?P<incarnation>[0-9a-f]{16})\.(?P<secret>[0-9a-f]{32})\Z"
)
# No vowels and no 0, 1, 3, as in the names of pods: no words by accident.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def is_pool_name(text: str) -> bool:
    """A DNS label of at most 40 characters."""
    return _POOL.match(text) is not None


def is_command_name(text: str) -> bool:
    """`^[a-z][a-z0-9_.-]{0,63}$`."""
    return _COMMAND.match(text) is not None


def is_worker_name(text: str) -> bool:
    """A DNS label of at most 63 characters."""
    return _WORKER.match(text) is not None


def new_worker_name(pool: str) -> str:
    """A fresh name in a pool's family, in the manner of pods: `general-x7k2p`."""
    return f"{pool}-" + "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))


def new_incarnation() -> str:
    """64 random bits as 16 hex digits: one life of an agent, or of a router."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class SessionHandle:
    """Where a session lives, and the random part that its worker looks up. Opaque to callers."""

    pool: str
    worker: str
    incarnation: str
    secret: str

    def __str__(self) -> str:
        return f"{self.pool}.{self.worker}.{self.incarnation}.{self.secret}"

    @classmethod
    def new(cls, pool: str, worker: str, incarnation: str) -> "SessionHandle":
        """A handle with 128 fresh random bits."""
        return cls(pool, worker, incarnation, secrets.token_hex(16))

    @classmethod
    def parse(cls, text: str) -> "SessionHandle | None":
        """The handle that `text` spells, or None when it is malformed."""
        match = _HANDLE.match(text)
        return cls(**match.groupdict()) if match else None


def execution_id(router_instance: str, number: int) -> str:
    """The id of call `number` of a router instance: `<instance>-<number in hex>`."""
    return f"{router_instance}-{number:x}"
