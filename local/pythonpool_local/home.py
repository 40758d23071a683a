"""The home of one machine: where the token, the sockets and the logs are.

Called by `up` and `down` before anything starts. Knows paths and permissions, no processes.
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pythonpool_local.refusal import UNAVAILABLE, USAGE, Refusal, of_os_error

MAX_SOCKET_PATH = 107
"""Bytes of the longest path that a Unix socket can have on Linux."""

_SUFFIX = 6
"""Letters that a worker's name has beside its pool's: `-x7k2p`."""


@dataclass(frozen=True, slots=True)
class Home:
    """Every path below `$PYTHONPOOL_HOME`."""

    path: Path

    @property
    def token_file(self) -> Path:
        """The token that callers show; 0600."""
        return self.path / "token"

    @property
    def run(self) -> Path:
        """Sockets and records of what runs now; empty when nothing does."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """What workers and routers wrote; bounded."""
        return self.path / "logs"

    @property
    def pools_file(self) -> Path:
        """Pools and workers, read by routers."""
        return self.run / "pools.json"

    @property
    def up_file(self) -> Path:
        """Where the running `up` is, read by `down`, the other verbs and clients."""
        return self.run / "up.json"

    @property
    def processes_file(self) -> Path:
        """Every process that was started, read by the next `up` after a crash."""
        return self.run / "processes.json"

    def worker(self, name: str) -> Path:
        """The folder of one worker."""
        return self.run / name

    def router_socket(self, index: int) -> Path:
        """Where one router can be addressed alone."""
        return self.run / f"router-{index}.sock"

    def link_socket(self, index: int) -> Path:
        """Where agents dial one router."""
        return self.run / f"link-{index}.sock"

    def log(self, name: str) -> Path:
        """The log of one worker or router."""
        return self.logs / f"{name}.log"


def locate(environment: Mapping[str, str]) -> Home:
    """The home that the environment names: PYTHONPOOL_HOME, else the state folder of the user."""
    named = environment.get("PYTHONPOOL_HOME")
    if named:
        return Home(Path(named).absolute())
    state = environment.get("XDG_STATE_HOME")
    folder = Path(state) if state else Path.home() / ".local" / "state"
    return Home(folder.absolute() / "pythonpool")


def prepare(home: Home) -> None:
    """Make the home (0700), its folders and the token, where they are not there yet.

    Raises:
        Refusal: it can not be made, or belongs to somebody else.
    """
    try:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.path.stat()
        if found.st_uid != os.getuid():
            raise Refusal(
                f"the home {home.path} belongs to user {found.st_uid}, must be your own: "
                "set PYTHONPOOL_HOME",
                USAGE,
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            home.path.chmod(0o700)
        for folder in (home.run, home.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        _make_token(home.token_file)
    except OSError as error:
        raise of_os_error(error, f"the home {home.path} can not be used") from error


def _make_token(path: Path) -> None:
    """A token of 256 bits; one that is there is kept, for callers may know it.

    Raises:
        Refusal: what is there can not be sent in a header.
    """
    kept = path.read_bytes().strip() if path.exists() else b""
    if kept:
        if not all(0x21 <= byte <= 0x7E for byte in kept):
            raise Refusal(
                f"the token in {path} must be one line of printable ASCII without spaces: "
                "remove the file, and a new one is made",
                USAGE,
            )
        path.chmod(0o600)
        return
    fresh = path.with_name(f".token-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def check_lengths(home: Home, pools: Iterable[str]) -> None:
    """See that every socket of these pools has a path that Linux can bind.

    Raises:
        Refusal: the home is too long; says by how much.
    """
    longest = max((len(pool) for pool in pools), default=0) + _SUFFIX
    deepest = home.worker("x" * longest) / "keeper.sock"
    over = len(os.fsencode(deepest)) - MAX_SOCKET_PATH
    if over > 0:
        raise Refusal(
            f"the home {home.path} is {over} bytes too long for Unix sockets "
            f"({MAX_SOCKET_PATH} bytes): set PYTHONPOOL_HOME to a shorter path",
            USAGE,
        )


def lock(home: Home) -> int:
    """Take the home for this process; the descriptor holds it until it is closed.

    Raises:
        Refusal: an `up` runs here already.
    """
    descriptor = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Refusal(
            f"pythonpool up runs already in {home.path}: stop it with `pythonpool down`, "
            "or set PYTHONPOOL_HOME",
            UNAVAILABLE,
        ) from None
    return descriptor


def is_locked(home: Home) -> bool:
    """Whether an `up` runs in this home now."""
    try:
        descriptor = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
