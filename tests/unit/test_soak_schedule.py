"""A seed replays its schedule of faults."""

from soak.faults import LONGEST_STOP_SECONDS, schedule


def test_a_seed_gives_its_schedule_again() -> None:
    assert schedule(7, 60.0) == schedule(7, 60.0)
    assert schedule(7, 60.0) != schedule(8, 60.0)


def test_faults_come_in_order_and_within_the_load() -> None:
    faults = schedule(3, 1200.0)

    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert faults[0].at > 1.0
    assert faults[-1].at < 1200.0
    assert max(fault.seconds for fault in faults) <= LONGEST_STOP_SECONDS


def test_a_long_soak_strikes_everything() -> None:
    struck = {(fault.kind, fault.target) for fault in schedule(3, 1200.0)}

    assert len(struck) == 18
