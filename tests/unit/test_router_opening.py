"""What may stand in the body of POST /v1/sessions, and what is said of the rest."""

import pytest

from pythonpool.errors import InvalidArgument
from pythonpool_router.cold.opening import read_opening


def test_what_was_given_comes_back() -> None:
    asked = read_opening(b'{"pool": "a", "ttl_seconds": 5, "context": {"user": 1}}')

    assert asked == {"pool": "a", "ttl_seconds": 5, "context": {"user": 1}}
    assert read_opening(b'{"pool": "a", "ttl_seconds": null}')["ttl_seconds"] is None
    assert repr(read_opening(b'{"pool": "a", "ttl_seconds": 60.0}')["ttl_seconds"]) == "60"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "a session: pool is missing"),
        (b"[]", 'args must be a JSON object such as {"name": "value"}, not []'),
        (b"x", "args must be JSON (RFC 8259, UTF-8)"),
        (b'{"pool": "a", "ttl_seconds": NaN}', "args must be JSON (RFC 8259, UTF-8)"),
        (b'{"pool": 1}', "pool 1 must be text"),
        (b'{"pool": null}', "pool null must be text"),
        (b'{"pool": "a", "ttl_seconds": 1.5}', "ttl_seconds 1.5 must be a whole number"),
        (b'{"pool": "a", "ttl_seconds": true}', "ttl_seconds true must be a whole number"),
        (b'{"pool": "a", "context": []}', "context [] must be an object"),
        (b'{"pool": "a", "ttl": 1}', "ttl is not known; it takes pool, ttl_seconds, context"),
        (b'{"pool": 1, "a": 1, "b": 2}', "pool 1 must be text; a, b are not known"),
    ],
)
def test_a_mistake_is_named_in_one_line(body: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_opening(body)

    assert words in caught.value.detail
    assert "\n" not in caught.value.detail
