"""Lines of a journal whose writers are killed in the middle of one."""

from pathlib import Path

import pytest
from soak.history import PAGE_BYTES, read_journal, whole_lines

WHOLE = b'{"is_end": true}'
TORN = b'{"is_en'


def page_that_ends_in(torn: bytes) -> bytes:
    """Whole lines up to a page's end, where a writer was killed."""
    filler = b'{"fill": "' + b"x" * (PAGE_BYTES - len(torn) - 15) + b'"}'
    page = b"\n" + filler + b"\n\n" + torn
    assert len(page) == PAGE_BYTES
    return page


def test_a_line_torn_at_the_end_of_a_page_is_left_out() -> None:
    data = page_that_ends_in(TORN) + b"\n" + WHOLE + b"\n"
    assert list(whole_lines(data))[1:] == [WHOLE]


def test_a_line_that_ends_with_its_page_is_whole() -> None:
    data = page_that_ends_in(WHOLE) + b"\n" + TORN
    assert list(whole_lines(data))[1:] == [WHOLE, TORN]


def test_reading_goes_on_where_it_ended() -> None:
    data = page_that_ends_in(TORN) + b"\n" + WHOLE + b"\n"
    middle = data.index(b"\n", 1) + 1
    assert list(whole_lines(data[middle:], middle)) == [WHOLE]


def test_a_part_elsewhere_is_two_writers_that_mixed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"\n" + TORN + b"\n")
    with pytest.raises(ValueError, match="line 1 of the journal is not whole"):
        read_journal(path)
