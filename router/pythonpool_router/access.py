"""Who calls, and what a caller may do. The front asks once for each request, before routing."""

import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pythonpool.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that a token stands for; `name` owns sessions."""

    name: str


class Access(Protocol):
    """The seam between a token file and Kubernetes.

    Attributes:
        standing: another object whenever somebody may be judged otherwise than before.
    """

    standing: object

    def caller(self, authorization: bytes | None) -> Caller:
        """The caller whose `Authorization` header this is; None when there was no header.

        Raises:
            Unauthenticated: no valid token.
        """
        ...

    def permit(self, caller: Caller, action: str, pool: str) -> None:
        """Let `caller` do `action` (`execute`, `session`, `read`, `workers`, `recycle`) on `pool`.

        Raises:
            PermissionDenied: it may not.
        """
        ...


class TokenFile:
    """Whoever knows the token of the file may do everything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _facts(path)
        self._expected = _token(path)
        self._usual = b"Bearer " + self._expected
        self.standing: object = self._usual
        self._caller = Caller("local")

    def refresh(self) -> None:
        """Take the file's token of now, if it has another; a mounted Secret may change.

        Raises:
            OSError, ValueError: there is none; the one of before stays.
        """
        facts = _facts(self._path)
        if facts != self._seen:
            self._seen = facts
            self._expected = _token(self._path)
            self.standing = self._usual = b"Bearer " + self._expected

    def caller(self, authorization: bytes | None) -> Caller:
        """The one caller, when the token is right.

        Raises:
            Unauthenticated: no token, or another one.
        """
        if authorization is None:
            authorization = b""
        if hmac.compare_digest(authorization, self._usual):
            return self._caller
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._expected):
            return self._caller
        raise Unauthenticated("no valid token; send it as Authorization: Bearer TOKEN")

    def permit(self, caller: Caller, action: str, pool: str) -> None:
        """Everything is allowed."""


def _token(path: Path) -> bytes:
    token = path.read_bytes().strip()
    if not token:
        raise ValueError(f"the token file {path} is empty: it must hold the token")
    return token


def _facts(path: Path) -> tuple[int, int]:
    """What is other when the file is; a Secret's files are links that are swapped."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ino
