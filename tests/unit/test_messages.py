"""Frames: what is written is read back, whatever the cuts; what breaks the rules is refused."""

import random

import pytest

from pythonpool import messages
from pythonpool.messages import Call, FrameReader, Kind, ProtocolError, Run


def test_frames_are_read_back_whatever_the_cuts() -> None:
    """A stream has no borders: every way of cutting it gives the same frames."""
    chance = random.Random(7)
    frames = [
        (chance.choice(list(Kind)), chance.randrange(2**64), bytes(chance.randrange(0, 300)))
        for _ in range(200)
    ]
    stream = b"".join(messages.frame(*each) for each in frames)
    reader, seen, position = FrameReader(), [], 0
    while position < len(stream):
        step = chance.randrange(1, 700)
        seen += list(reader.feed(stream[position : position + step]))
        position += step

    assert seen == frames


@pytest.mark.parametrize("length", [0, 8, messages.MAX_PAYLOAD + 10, 2**32 - 1])
def test_a_length_outside_the_bounds_closes_the_connection(length: int) -> None:
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(length.to_bytes(4, "big") + bytes(9)))


def test_a_call_is_read_back() -> None:
    call = Call(
        messages.STREAM, 30_000, 12, messages.UNKNOWN, 3,
        b"echo", b"0" * 32, b"", "jürgen".encode(), b"{}x",
    )  # fmt: skip

    assert messages.read_call(messages.call_head(call) + call.body) == call


def test_a_run_is_read_back() -> None:
    run = Run(messages.MORE, 1.5, b"train", b"a-1", b"s", b"00-1-1-00", b'{"a": 1}')

    assert messages.read_run(messages.run_head(run) + run.body) == run


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_heads_that_are_cut_short_are_refused(cut: int) -> None:
    call = Call(0, 1, 1, 1, 1, b"command", b"s" * 32, b"", b"", b"")
    run = Run(0, 1.0, b"command", b"call" * 10, b"", b"", b"")

    with pytest.raises(ProtocolError):
        messages.read_call(messages.call_head(call)[:cut])
    with pytest.raises(ProtocolError):
        messages.read_run(messages.run_head(run)[:cut])


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 200_000])
def test_pieces_fill_frames_and_lose_nothing(size: int) -> None:
    body = random.Random(size).randbytes(size)

    first, rest = messages.pieces(body, 100)

    assert b"".join([first, *rest]) == body
    assert len(first) <= messages.MAX_PAYLOAD - 100
    assert all(0 < len(piece) <= messages.MAX_PAYLOAD for piece in rest)


def test_times_fit_their_fields() -> None:
    assert messages.milliseconds(0.0001) == 1
    assert messages.milliseconds(86_400) == 86_400_000
    assert messages.microseconds(1e9) == messages.UNKNOWN - 1
