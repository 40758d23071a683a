"""Counters within bounds, whatever workers call their commands."""

from pythonpool_router.counters import MAX_COMMANDS, MAX_ROWS, PoolCounters


def test_names_without_end_are_counted_together() -> None:
    """Nothing is lost of the sum; those that were there first keep their names."""
    counters = PoolCounters()
    for number in range(MAX_ROWS + 500):
        counters.count(f"c{number}", "ok")
        counters.ran(f"c{number}", 0.001)
    counters.count("c0", "ok")
    assert len(counters.executions) <= MAX_ROWS + 1
    assert sum(counters.executions.values()) == MAX_ROWS + 501
    assert (counters.executions["c0", "ok"], counters.executions["", "ok"]) == (2, 500)
    assert len(counters.execution_seconds) <= MAX_COMMANDS + 1
    assert sum(sum(each.counts) for each in counters.execution_seconds.values()) == MAX_ROWS + 500
