"""Several routers fill one line."""

from pythonpool_router.share import Share


def test_one_router_has_all_of_it() -> None:
    share = Share()

    assert share.room(100) == 100
    assert share.refusing == 1


def test_what_is_left_is_divided() -> None:
    share = Share()
    share.learn(routers=2, others=0, mine=0)
    assert share.room(100) == 50
    share.learn(routers=2, others=30, mine=50)
    assert share.room(100) == 60
    assert share.refusing == 2
    share.learn(routers=2, others=50, mine=50)
    assert share.room(100) == 50


def test_a_router_alone_comes_to_nearly_all_of_it() -> None:
    """Each news gives it its part of the rest."""
    share = Share()
    for _ in range(4):
        share.learn(routers=2, others=0, mine=share.room(100) if share.routers > 1 else 0)

    assert 90 <= share.room(100) <= 100


def test_others_may_hold_more_than_there_is() -> None:
    """After the spec was changed to a shorter line."""
    share = Share()
    share.learn(routers=3, others=40, mine=5)

    assert share.room(10) == 5
