"""The soak reads event streams strictly."""

import pytest
from soak.eventtext import Malformed, last_event

BEGUN = b'id: 1\nevent: progress\ndata: {"fraction":0.0}\n\n: still here\n\n'
RESULT = b'id: 2\nevent: result\ndata: {"nonce":"a"}\n\n'


def test_a_whole_stream_ends_with_its_result() -> None:
    assert last_event(BEGUN + RESULT) == ("result", {"nonce": "a"})


@pytest.mark.parametrize(
    "text",
    [b"", BEGUN, BEGUN + RESULT + RESULT, RESULT, RESULT.replace(b"2", b"1") + BEGUN],
    ids=["nothing", "no end", "two ends", "an id left out", "something behind the end"],
)
def test_a_stream_that_breaks_a_rule_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        last_event(text)
