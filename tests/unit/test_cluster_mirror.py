"""What list and watch do to the mirror, by recorded events; and how long pauses are."""

from typing import Any

import pytest

from pythonpool_router.cluster.api import pause
from pythonpool_router.cluster.mirror import Expired, Mirror, WatchError

Json = dict[str, Any]


def live(name: str, version: int, value: object = None) -> Json:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "value": value}


def event(kind: str, name: str, version: int, value: object = None) -> Json:
    return {"type": kind, "object": live(name, version, value)}


@pytest.fixture
def mirror() -> Mirror[object]:
    """Reads the value alone; objects without one are not wanted."""
    made: Mirror[object] = Mirror(lambda told: told["value"])
    made.replace([live("a", 1, 1), live("b", 2, 2)], "10")
    return made


def test_a_list_is_the_whole_truth(mirror: Mirror[object]) -> None:
    assert mirror.items == {"a": 1, "b": 2}
    assert (mirror.is_synced, mirror.version) == (True, "10")
    assert not mirror.replace([live("b", 2, 2), live("a", 1, 1)], "20"), "nothing new"
    assert mirror.replace([live("b", 2, 2)], "30")
    assert mirror.items == {"b": 2}


def test_the_first_list_is_news_even_when_it_is_empty() -> None:
    assert Mirror(lambda told: told).replace([], "1")


def test_events(mirror: Mirror[object]) -> None:
    assert mirror.take(event("ADDED", "c", 11, 3))
    assert mirror.take(event("MODIFIED", "a", 12, 9))
    assert mirror.take(event("DELETED", "b", 13, 2))
    assert mirror.items == {"a": 9, "c": 3}
    assert mirror.version == "13"


def test_events_without_news(mirror: Mirror[object]) -> None:
    """They move the version on, and nobody is told."""
    assert not mirror.take(event("MODIFIED", "a", 11, 1))
    assert not mirror.take(event("DELETED", "unknown", 12, 1))
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "99"}}}
    assert not mirror.take(bookmark)
    assert mirror.version == "99"


def test_an_object_that_can_not_be_read_is_left_out(mirror: Mirror[object]) -> None:
    assert mirror.take(event("MODIFIED", "a", 11, None))
    assert mirror.items == {"b": 2}


def test_a_version_that_is_too_old(mirror: Mirror[object]) -> None:
    """All stays as it is until the next list."""
    gone = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
    with pytest.raises(Expired, match="too old"):
        mirror.take(gone)
    mirror.expire()
    assert (mirror.items, mirror.version) == ({"a": 1, "b": 2}, "")


def test_another_error(mirror: Mirror[object]) -> None:
    with pytest.raises(WatchError, match="etcd"):
        mirror.take({"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}})
    assert mirror.version == "10"


@pytest.mark.parametrize("broken", [{}, {"type": "ADDED"}, {"type": "ADDED", "object": {}}])
def test_what_is_no_event(mirror: Mirror[object], broken: Json) -> None:
    with pytest.raises(KeyError):
        mirror.take(broken)
    assert mirror.items == {"a": 1, "b": 2}


def test_pauses_grow_and_never_end() -> None:
    assert [pause(count, 1.0) for count in range(6)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert pause(10_000, 1.2) == 6.0
