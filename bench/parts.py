"""The list of all parts."""

from bench.registry import Part
from bench.rows import (
    bare,
    bodies,
    ends,
    forks,
    generators,
    half,
    neighbours,
    overload,
    path,
    payloads,
    peers,
    scrapes,
    sharing,
    small,
    starts,
    streams,
    syscalls,
    workers,
)

PARTS = (
    Part("small", "router", small.measure),
    Part("half", "router", half.measure),
    Part("bare", "router", bare.measure),
    Part("syscalls", "router", syscalls.measure),
    Part("bodies", "router", bodies.measure),
    Part("generators", "router", generators.measure, is_long=True),
    Part("path", "path", path.measure),
    Part("streams", "path", streams.measure, is_long=True),
    Part("payloads", "path", payloads.measure, is_long=True),
    Part("sharing", "path", sharing.measure),
    Part("overload", "path", overload.measure),
    Part("neighbours", "path", neighbours.measure, is_long=True),
    Part("ends", "ends", ends.measure),
    Part("forks", "ends", forks.measure),
    Part("starts", "ends", starts.measure),
    Part("workers", "growth", workers.measure),
    Part("scrapes", "growth", scrapes.measure, is_long=True),
    Part("peers", "peers", peers.measure, is_asked=True),
)
