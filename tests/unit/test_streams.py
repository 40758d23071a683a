"""Server-sent events come cut up anywhere; what is told does not depend on it."""

import pytest

from pythonpool import errors
from pythonpool.http.streams import Event, EventParser, Gathering

TEXT = (
    "\ufeff: a comment\n"
    'event: progress\nid: 1\ndata: {"fraction":0.25,"note":"é"}\n\n'
    ": still here\n\n"
    'event: chunk\r\nid: 2\r\ndata: {"$bytes":"AAE="}\r\n\r\n'
    "event: chunk\rid: 3\rdata: [1,\rdata:  2]\r\r"
    "retry: 5\nunknown\nevent: result\nid: 4\ndata: null\n\n"
).encode()
EVENTS = [
    Event("progress", {"fraction": 0.25, "note": "é"}, 1),
    Event("chunk", b"\x00\x01", 2),
    Event("chunk", [1, 2], 3),
    Event("result", None, 4),
]


def parse(*parts: bytes) -> list[Event]:
    parser = EventParser()
    return [event for part in parts for event in parser.feed(part)]


def test_lines_may_end_in_any_of_the_three_ways() -> None:
    assert parse(TEXT) == EVENTS


def test_every_cut_gives_the_same_events() -> None:
    for cut in range(len(TEXT) + 1):
        assert parse(TEXT[:cut], TEXT[cut:]) == EVENTS, cut


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    assert parse(*(TEXT[i : i + 1] for i in range(len(TEXT)))) == EVENTS


def test_an_event_is_told_at_its_empty_line_and_not_before() -> None:
    assert parse(b"event: result\ndata: 1\n") == []
    assert parse(b"event: result\ndata: 1\n", b"\n") == [Event("result", 1, 0)]


def test_an_event_without_data_is_none() -> None:
    assert parse(b"event: result\n\n") == []


def test_whole_numbers_keep_their_digits() -> None:
    assert parse(b"event: result\ndata: 123456789012345678901\n\n")[0].data == 123456789012345678901


def test_an_error_event_raises_after_what_came_before_it() -> None:
    """Progress that arrived in the same packet is not lost."""
    problem = b'{"code":"timeout","detail":"too long","outcome":"unknown","worker":"w"}'
    feed = EventParser().feed(
        b'event: progress\ndata: {"fraction":1}\n\nevent: error\ndata: ' + problem + b"\n\n"
    )

    assert next(feed).kind == "progress"
    with pytest.raises(errors.Timeout) as caught:
        next(feed)
    assert caught.value.worker == "w"


@pytest.mark.parametrize("text", [b"event: result\ndata: {\n\n", b"event: new\ndata: 1\n\n"])
def test_what_is_no_event_of_ours_is_refused(text: bytes) -> None:
    with pytest.raises(errors.Internal):
        parse(text)


def test_chunks_gathered_are_the_list_that_a_generator_yielded() -> None:
    gathering = Gathering()
    for event in EVENTS:
        gathering.take(event)

    assert gathering.value == [b"\x00\x01", [1, 2]]


def test_a_result_gathered_is_that_result() -> None:
    gathering = Gathering()
    gathering.take(Event("progress", {"fraction": 1}, 1))
    gathering.take(Event("result", 7, 2))

    assert gathering.value == 7


def test_a_generator_that_yielded_nothing_gives_an_empty_list() -> None:
    """As without a stream; only the head can tell it from a command that returned None."""
    gathered = []
    for of_generator in (True, False):
        gathering = Gathering()
        for event in EventParser(of_generator).feed(b"id: 1\nevent: result\ndata: null\n\n"):
            gathering.take(event)
        gathered.append(gathering.value)

    assert gathered == [[], None]
