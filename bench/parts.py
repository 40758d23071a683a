"""The list of all parts."""

from bench.registry import Part
from bench.rows import (
    bare,
    bodies,
    ends,
    forks,
    half,
    path,
    scrapes,
    small,
    starts,
    syscalls,
    workers,
)

PARTS = (
    Part("small", "router", small.measure),
    Part("half", "router", half.measure),
    Part("bare", "router", bare.measure),
    Part("syscalls", "router", syscalls.measure),
    Part("bodies", "router", bodies.measure),
    Part("path", "path", path.measure),
    Part("ends", "ends", ends.measure),
    Part("forks", "ends", forks.measure),
    Part("starts", "ends", starts.measure),
    Part("workers", "growth", workers.measure),
    Part("scrapes", "growth", scrapes.measure),
)
