"""Why `up` or `down` does not go on: one line and an exit code of API.md 4."""

import errno

USAGE = 2
UNAVAILABLE = 3

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Refusal(Exception):
    """What happened, which value, what to do next; and the exit code that goes with it."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.line = line
        self.exit_code = exit_code


def of_os_error(error: OSError, what: str) -> Refusal:
    """A refusal in our words for what the system would not do; `what` says what was tried."""
    if error.errno in _FULL:
        return Refusal(f"{what}: the disk is full; make room and try again", UNAVAILABLE)
    name = f" ({error.filename})" if error.filename else ""
    return Refusal(f"{what}: {error.strerror or error}{name}", USAGE)
