"""When a worker is held to have left off in the middle of a result."""

from typing import cast

import pytest

from pythonpool.messages import MAX_PAYLOAD, WINDOW
from pythonpool_router.call import ANSWERED, SENT, Call, Reply
from pythonpool_router.overdue import is_stalled
from pythonpool_router.pools import Pool


@pytest.mark.parametrize(
    ("state", "granted", "now", "expected"),
    [
        (ANSWERED, WINDOW, 100.0, True),
        (ANSWERED, WINDOW, 99.9, False),  # it went on a moment ago
        (ANSWERED, MAX_PAYLOAD - 1, 100.0, False),  # the caller takes nothing: no frame may be sent
        (SENT, WINDOW, 1000.0, False),  # its time to run decides
    ],
)
def test_a_result_stalls_where_its_worker_could_go_on(
    state: int, granted: int, now: float, expected: bool
) -> None:
    call = Call(cast(Pool, None), "echo", 0, 1000, b"", cast(Reply, None))
    call.state, call.granted, call.deadline = state, granted, 100.0

    assert is_stalled(call, now) is expected
