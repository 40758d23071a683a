"""The body of POST /v1/sessions, checked by hand: pydantic would double the time to start."""

from typing import Any

import orjson

from pythonpool.errors import InvalidArgument

_FIELDS = {
    "pool": (str, "text"),
    "ttl_seconds": (int | None, "a whole number"),
    "context": (dict | None, "an object"),
}


def read_opening(body: bytes) -> dict[str, Any]:
    """`pool`, and `ttl_seconds` and `context` where they were given.

    Raises:
        InvalidArgument: it is no such object; one line that names all that is wrong.
    """
    try:
        asked = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"a session: args must be JSON (RFC 8259, UTF-8): {error}") from error
    if not isinstance(asked, dict):
        raise InvalidArgument(
            'a session: args must be a JSON object such as {"name": "value"}, '
            f"not {_shown(asked)}"
        )
    seconds = asked.get("ttl_seconds")
    if isinstance(seconds, float) and seconds.is_integer():
        asked["ttl_seconds"] = int(seconds)  # 60.0 is a whole number, as in args
    wrong = [
        f"{name} {_shown(asked[name])} must be {words}"
        for name, (kind, words) in _FIELDS.items()
        if name in asked and (not isinstance(asked[name], kind) or isinstance(asked[name], bool))
    ]
    if "pool" not in asked:
        wrong.insert(0, "pool is missing")
    unknown = [name[:100] for name in asked if name not in _FIELDS]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        wrong.append(f"{', '.join(unknown)} {verb} not known; it takes {', '.join(_FIELDS)}")
    if wrong:
        raise InvalidArgument(f"a session: {'; '.join(wrong)}")
    return asked


def _shown(value: object) -> str:
    return orjson.dumps(value).decode()[:100]
