"""How many descriptors a process of ours may have; called by agents and keepers.

Sessions and executors are each worth a few, and the usual soft limit is 1024: it is
there for programs that use select(), which ours do not.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 65_536

_STARTED_WITH = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def allow_many() -> None:
    """Raise the soft limit as far as the hard one allows, to 65,536 at most; never lower it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def as_before() -> Iterator[None]:
    """What is started in here has the soft limit that this process was started with."""
    now, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_STARTED_WITH, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, hard))
