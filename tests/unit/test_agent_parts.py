"""The pure parts of the agent: alarms, tombstones, settings, windows, recycling, probes' words."""

import json
import os
from typing import Any, cast

import pytest

from pythonpool.errors import SessionExpired, SessionLost, SessionNotFound, Timeout
from pythonpool.messages import MAX_PAYLOAD, WINDOW, Kind
from pythonpool_worker.agent.delivery import HIGH_WATER, STALL_SECONDS, Delivery
from pythonpool_worker.agent.lastwords import with_last_line
from pythonpool_worker.agent.link import Link
from pythonpool_worker.agent.notify import Notices
from pythonpool_worker.agent.problems import error_json
from pythonpool_worker.agent.recycle import InPlace, Recycling
from pythonpool_worker.agent.settings import byte_count, read_spec
from pythonpool_worker.agent.status import hello_frame
from pythonpool_worker.agent.timers import Timers
from pythonpool_worker.agent.tombstones import MOST, Tombstones


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Bell:
    """Timers with a clock, and a record of what rang and when it was armed."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.armed: list[float] = []
        self.rung: list[object] = []
        self.timers = Timers(self.clock, self.armed.append)

    def at(self, now: float) -> list[object]:
        """What rings when it is `now`."""
        self.clock.now = now
        self.rung.clear()
        self.timers.ring()
        return list(self.rung)


@pytest.fixture
def bell() -> Bell:
    return Bell()


def test_alarms_ring_in_the_order_of_their_moments(bell: Bell) -> None:
    for when in (3, 1, 2):
        bell.timers.at(1000 + when, bell.rung.append, when)

    assert bell.at(1002.5) == [1, 2]
    assert bell.at(1003) == [3]


def test_only_the_earliest_is_armed(bell: Bell) -> None:
    """A call that ends before its deadline costs no timer of the loop."""
    for when in (3, 5, 1, 4):
        bell.timers.at(1000 + when, bell.rung.append, when)

    assert bell.armed == [1003, 1001]
    bell.at(1001)
    assert bell.armed[2:] == [1003]


def test_a_cancelled_alarm_is_silent(bell: Bell) -> None:
    first = bell.timers.at(1001, bell.rung.append, 1)
    bell.timers.at(1002, bell.rung.append, 2)
    first.cancel()
    first.cancel()

    assert bell.at(1005) == [2]


def test_cancelled_alarms_do_not_pile_up(bell: Bell) -> None:
    for _ in range(10_000):
        bell.timers.at(5000, bell.rung.append).cancel()

    assert len(bell.timers) < 1000


def test_an_alarm_that_raises_does_not_stop_the_others(
    bell: Bell, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    bell.timers.at(1001, fail)
    bell.timers.at(1002, bell.rung.append, 2)

    assert bell.at(1003) == [2]
    assert "an alarm failed" in caplog.text


def test_an_alarm_may_set_another(bell: Bell) -> None:
    def again(_: object) -> None:
        bell.timers.after(1, bell.rung.append, "again")

    bell.timers.at(1001, again)
    bell.at(1001)

    assert bell.armed[-1] == 1002
    assert bell.at(1002) == ["again"]


@pytest.mark.parametrize(
    ("reason", "error"),
    [("expired", SessionExpired), ("lost", SessionLost), ("deleted", SessionNotFound)],
)
def test_a_tombstone_says_how_a_session_ended(reason: str, error: type[Exception]) -> None:
    stones = Tombstones(HandClock())
    stones.put("s", "alice", reason, "drained" if reason == "lost" else None, 60)

    assert type(stones.answer("s", "alice")) is error
    assert type(stones.answer("s", None)) is error
    assert type(stones.answer("s", "mallory")) is SessionNotFound


def test_tombstones_are_forgotten_in_time_and_in_number() -> None:
    clock = HandClock()
    stones = Tombstones(clock)
    for number in range(MOST + 1):
        stones.put(str(number), "alice", "expired", None, 60)

    assert len(stones) == MOST
    assert type(stones.answer("0", "alice")) is SessionNotFound
    assert type(stones.answer("1", "alice")) is SessionExpired
    clock.now += 60
    assert type(stones.answer("1", "alice")) is SessionNotFound


@pytest.mark.parametrize(
    ("quantity", "count"),
    [(1024, 1024), ("1Ki", 1024), ("64Mi", 64 << 20), ("1.5G", 1_500_000_000), ("7", 7)],
)
def test_quantities(quantity: int | str, count: int) -> None:
    assert byte_count(quantity) == count


def test_a_newer_spec_changes_only_what_may_change_live() -> None:
    old = read_spec(1, {})
    new = old.with_live(
        2,
        {
            "concurrency": 8,
            "isolation": "thread",
            "onDisconnect": "Finish",
            "results": {"maxBytes": "1Ki"},
            "sessions": {"drainSeconds": 1, "persistence": "None", "maxPerWorker": 2},
            "recycle": {"maxCalls": 5},
        },
    )

    assert (new.generation, new.finish_abandoned, new.result_bytes) == (2, True, 1024)
    assert (new.max_sessions, new.max_calls) == (2, 5)
    assert (new.slots, new.threads, new.drain_seconds, new.keeps_state) == (1, False, 600, True)


class Wire:
    """A link that only remembers."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []

    def send_data(self, kind: int, number: int, payload: bytes) -> None:
        self.sent.append((kind, len(payload)))


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_data_stops_at_the_window_and_goes_on_with_credit(wire: Wire) -> None:
    delivery = Delivery(cast("Link", wire), 1, 0)
    delivery.put(Kind.RESULT, b"x" * MAX_PAYLOAD)
    for _ in range(6):
        delivery.put(Kind.DATA, b"x" * MAX_PAYLOAD)

    assert sum(size for kind, size in wire.sent if kind == Kind.DATA) == WINDOW
    assert delivery.unsent == 2 * MAX_PAYLOAD
    delivery.credit(MAX_PAYLOAD, 1)
    assert delivery.unsent == MAX_PAYLOAD
    assert not delivery.is_done


def test_a_router_that_gives_no_credit_is_noticed(wire: Wire) -> None:
    delivery = Delivery(cast("Link", wire), 1, 0)
    delivery.put(Kind.DATA, b"x" * MAX_PAYLOAD)

    assert not delivery.is_stalled(STALL_SECONDS * 2)
    for _ in range(5):
        delivery.put(Kind.DATA, b"x" * MAX_PAYLOAD)
    assert delivery.is_stalled(STALL_SECONDS * 2)
    delivery.credit(1, STALL_SECONDS * 2)
    assert not delivery.is_stalled(STALL_SECONDS * 2 + 1)


def test_low_water_is_told_once(wire: Wire) -> None:
    delivery = Delivery(cast("Link", wire), 1, 0)
    while delivery.unsent <= HIGH_WATER:
        delivery.put(Kind.CHUNK, b"x" * MAX_PAYLOAD)
    told: list[int] = []
    delivery.when_low(lambda: told.append(delivery.unsent))
    for _ in range(20):
        delivery.credit(MAX_PAYLOAD, 1)

    assert told == [HIGH_WATER // 2]


def recycling(
    spec: dict[str, Any], bell: Bell, in_place: InPlace | None = None
) -> tuple[Recycling, list[Any], int]:
    """What asks to be replaced, a place for its words, and the descriptor to read them from."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    notices = Notices(writing, "0" * 16)
    settings = read_spec(1, {"recycle": spec})
    watch = Recycling(settings, notices, bell.timers, bell.clock, 1.0, in_place)
    return watch, [writing], reading


def said(reading: int) -> list[dict[str, str]]:
    try:
        return [json.loads(line) for line in os.read(reading, 4096).splitlines()]
    except BlockingIOError:
        return []


def test_calls_and_age_wait_for_the_last_session(bell: Bell) -> None:
    watch, writing, reading = recycling({"maxCalls": 10, "maxAgeSeconds": 60}, bell)
    watch.sessions(1)
    watch.counted(10)
    before = said(reading)
    watch.sessions(0)

    assert before == []
    assert said(reading) == [{"recycle": "calls"}]
    bell.at(2000)
    assert said(reading) == []
    for descriptor in (reading, *writing):
        os.close(descriptor)


def test_age_and_memory(bell: Bell) -> None:
    watch, writing, reading = recycling({"maxAgeSeconds": 60, "memoryPercent": 50}, bell)
    watch.memory(50, 100)
    watch.memory(99, None)
    bell.at(1059)
    assert said(reading) == []
    bell.at(1060)
    assert said(reading) == [{"recycle": "age"}]
    for descriptor in (reading, *writing):
        os.close(descriptor)


def in_a_pod(
    bell: Bell, is_usual: bool = False, **spec: Any
) -> tuple[Recycling, list[str], list[str]]:
    """What asks to be replaced in a pod, its wishes so far, and its drains in place."""
    wishes: list[str] = []
    drains: list[str] = []
    settings = read_spec(1, {"recycle": spec})
    in_place = InPlace(lambda: drains.append(watch.wish), is_usual)
    notices = Notices(None, "0" * 16)
    watch = Recycling(settings, notices, bell.timers, bell.clock, 1.0, in_place)
    watch.on_wish = lambda: wishes.append(watch.wish)
    return watch, wishes, drains


def test_a_pod_says_its_wish_and_serves_on(bell: Bell) -> None:
    watch, wishes, drains = in_a_pod(bell, maxCalls=10)
    watch.counted(10)
    watch.asked()
    bell.at(1_000_000)

    assert wishes == ["calls"]
    assert drains == []


def test_a_stuck_process_is_not_forgotten_over_memory(bell: Bell) -> None:
    """Its slot is lost for good, also when there is memory again."""
    watch, _, drains = in_a_pod(bell, memoryPercent=50)
    watch.memory(60, 100)
    watch.stuck()
    watch.memory(40, 100)
    bell.at(1060)

    assert drains == ["memory"]


def test_memory_drains_a_pod_in_place_when_nobody_came(bell: Bell) -> None:
    watch, wishes, drains = in_a_pod(bell, memoryPercent=50)
    watch.asked()
    watch.memory(60, 100)
    watch.memory(40, 100)
    bell.at(1060)
    assert drains == [], "it has what it needs again"
    watch.memory(60, 100)
    bell.at(1119)
    assert drains == []
    bell.at(1120)

    assert wishes == ["asked", "memory"]
    assert drains == ["memory"]


def test_a_pod_that_no_new_one_comes_for_drains_at_once(bell: Bell) -> None:
    watch, wishes, drains = in_a_pod(bell, is_usual=True)
    watch.asked()

    assert (wishes, drains) == (["asked"], ["asked"])


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "exit:3"),
        ("one\n no licence \n\n", "exit:3; its last line: no licence"),
        ("Traceback\nexit:3", "exit:3"),
    ],
)
def test_last_words_carry_the_last_line_once(log: str, words: str) -> None:
    assert with_last_line("exit:3", log) == words


def test_an_error_fits_into_a_frame() -> None:
    error = Timeout("t" * 70_000, stack="s" * 100_000)

    assert len(error_json(error)) < MAX_PAYLOAD
    assert set(json.loads(error_json(Timeout("t")))) == {"detail", "code", "outcome"}


def test_a_catalogue_that_is_too_long_loses_its_schemas() -> None:
    rows = [
        {"name": f"c{i}", "description": "d", "args_schema": {"x": "y" * 2000}, "result_schema": {}}
        for i in range(100)
    ]
    hello = hello_frame({"pool": "general"}, rows)

    assert len(hello) < MAX_PAYLOAD
    assert len(json.loads(hello[13:])["catalogue"]) == 100
