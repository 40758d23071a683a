"""Whether this process can be forked: looked at, not believed."""

from collections.abc import Sequence


def why_not_forked(threads: Sequence[str], sockets: Sequence[int], may_fork: bool) -> str | None:
    """None when forks are safe, else one line that names what is in the way.

    Args:
        threads: the kernel's names of all threads, the main thread's too.
        sockets: descriptors of sockets that the adapter has opened.
        may_fork: the adapter's own `fork` attribute.
    """
    if not may_fork:
        return "the adapter says fork = False"
    found = []
    if len(threads) > 1:
        names = ", ".join(sorted(threads)[:8])
        found.append(f"{len(threads)} threads ({names})")
    if sockets:
        numbers = ", ".join(map(str, sockets[:8]))
        found.append(f"{len(sockets)} open sockets (descriptors {numbers})")
    return f"start() left {' and '.join(found)}" if found else None
