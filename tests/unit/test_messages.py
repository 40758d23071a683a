"""Frames: what is written is read back, whatever the cuts; what breaks the rules is refused."""

import contextlib
import itertools
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


def test_frames_do_not_depend_on_how_they_are_cut() -> None:
    """Any bytes by seed, whole and in pieces: the same frames, or an error at the same place."""
    for seed in range(300):
        chance = random.Random(seed)
        stream = b"".join(
            messages.frame(chance.randrange(256), chance.getrandbits(64), chance.randbytes(size))
            for size in (0, chance.randrange(50), chance.randrange(2000))
        )
        if chance.random() < 0.5:
            at = chance.randrange(len(stream))
            stream = stream[:at] + chance.randbytes(4) + stream[at + 4 :]
        cuts = sorted(chance.randrange(len(stream)) for _ in range(chance.randrange(30)))
        pieces = [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]
        assert _read([stream]) == _read(pieces), seed


def _read(pieces: list[bytes]) -> tuple[list[tuple[int, int, bytes]], bool]:
    """The frames, and whether they ended with an error."""
    reader = messages.FrameReader()
    found: list[tuple[int, int, bytes]] = []
    try:
        for piece in pieces:
            found.extend(reader.feed(piece))
    except messages.ProtocolError:
        return found, True
    return found, False


def test_heads_that_are_cut_short_are_errors() -> None:
    """CALL and RUN by seed: whole ones as they were, other bytes are read or refused."""
    for seed in range(300):
        chance = random.Random(seed)
        words = [chance.randbytes(chance.randrange(60)) for _ in range(5)]
        call = messages.Call(chance.randrange(16), 1, 2, 3, 4, *words)
        payload = messages.call_head(call) + words[4]
        assert messages.read_call(payload) == call
        run = messages.Run(1, 2.0, *words)
        assert messages.read_run(messages.run_head(run) + words[4]) == run
        for read in (messages.read_call, messages.read_run):
            with contextlib.suppress(messages.ProtocolError):
                read(chance.randbytes(chance.randrange(80)))
