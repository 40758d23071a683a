"""The history checker is tested on forged histories: a good one passes, each forgery is caught."""

from dataclasses import replace

import pytest
from soak.checker import RULES, violations, widened
from soak.history import Death, History, Line, Outcome, Pause, Sent, Strike


def call(
    nonce: str,
    sent: float,
    answered: float,
    code: str = "ok",
    outcome: Outcome = "finished",
    *,
    session: str = "",
    count: int | None = None,
) -> Sent:
    return Sent(
        nonce=nonce,
        sent=sent,
        answered=answered,
        code=code,
        outcome=outcome,
        allowed=2.0,
        timeout=1.0,
        id="" if code in ("reset", "gone", "silent") else f"id-{nonce}",
        echoed=nonce if code == "ok" else None,
        worker="w-1",
        session=session,
        count=count,
    )


def ran(
    nonce: str, start: float, end: float | None, *, count: int | None = None
) -> tuple[Line, ...]:
    line = Line(is_end=False, id=f"id-{nonce}", nonce=nonce, worker="w-1", pid=7, at=start)
    if end is None:
        return (line,)
    return line, replace(line, is_end=True, at=end, count=count)


GOOD = History(
    sent=(
        call("a", 0.0, 0.5),
        call("b", 0.5, 0.6, "resource_exhausted", "not_started"),
        call("c", 0.6, 1.8, "timeout", "unknown"),
        call("d", 2.0, 2.2, "command_failed"),
        call("e", 2.2, 2.9, "reset", "unknown"),
        call("f", 3.0, 3.3, session="s", count=1),
        call("g", 3.3, 3.6, "gone", "unknown", session="s"),
        call("h", 3.7, 3.9, session="s", count=3),
        call("i", 4.0, 4.2, "worker_crashed", "unknown", session="s"),
        call("j", 4.2, 4.4, "command_failed", session="s"),
        call("k", 5.0, 9.9),
        replace(call("l", 10.0, 10.1, "worker_crashed", "unknown"), shape="exit"),
    ),
    journal=(
        *ran("a", 0.1, 0.4),
        *ran("c", 0.7, None),
        *ran("d", 2.1, 2.15),
        *ran("e", 2.3, 2.8),
        *ran("f", 3.1, 3.2, count=1),
        *ran("g", 3.4, 3.5, count=2),
        *ran("h", 3.7, 3.8, count=3),
        *ran("i", 4.0, None),
        *ran("j", 4.3, 4.4, count=4),
        *ran("k", 5.1, 9.8),
        *ran("l", 10.05, None),
    ),
    strikes=(Strike(4.1, 5.1, "an executor was killed", "w-1", 7),),
    deaths=(Death("c", 7, 2.7), Death("g", 7, None), Death("i", 7, 4.3)),
    pauses=(Pause(2.5, 2.9, "a router was killed"), Pause(6.0, 9.0, "an agent stood still")),
)


def test_a_good_history_passes() -> None:
    assert violations(GOOD) == []


def changed(nonce: str, **fields: object) -> History:
    return replace(GOOD, sent=tuple(_with(one, nonce, fields) for one in GOOD.sent))


def _with(one: Sent, nonce: str, fields: dict[str, object]) -> Sent:
    return replace(one, **fields) if one.nonce == nonce else one  # type: ignore[arg-type]


def and_ran(*lines: Line) -> History:
    return replace(GOOD, journal=(*GOOD.journal, *lines))


FORGED = {
    "a late answer reached another caller": ("own_nonce", changed("a", echoed="z")),
    "an answer without a nonce": ("own_nonce", changed("a", echoed=None)),
    "a call that was sent twice": ("at_most_once", and_ran(*ran("a", 0.45, 0.5))),
    "a retry under a new id": (
        "at_most_once",
        and_ran(Line(is_end=False, id="id-2", nonce="e", worker="w-2", pid=8, at=2.6)),
    ),
    "a refused call that ran": ("outcome_is_true", and_ran(*ran("b", 1.9, 1.95))),
    "a finished call that never ended": (
        "outcome_is_true",
        changed("c", code="command_failed", outcome="finished"),
    ),
    "a call that nobody sent": ("answered_once", and_ran(*ran("z", 4.6, 4.7))),
    "a call that was answered twice": (
        "answered_once",
        replace(GOOD, sent=(*GOOD.sent, call("a", 0.0, 0.5))),
    ),
    "an answer under another id": ("answered_once", changed("a", id="id-d")),
    "an end without a start": (
        "answered_once",
        replace(GOOD, journal=tuple(one for one in GOOD.journal if one.at != 0.1)),
    ),
    "a slot that was given out twice": (
        "slots_are_kept",
        replace(
            GOOD,
            sent=(*GOOD.sent, call("z", 0.2, 0.4)),
            journal=(*GOOD.journal, *ran("z", 0.2, 0.3)),
        ),
    ),
    "a slot given back before the kill": (
        "slots_are_kept",
        replace(
            GOOD,
            sent=(*GOOD.sent, call("z", 0.8, 1.1)),
            journal=(*GOOD.journal, *ran("z", 0.9, 1.0)),
        ),
    ),
    "a session that began afresh": ("counters_grow", changed("h", count=1)),
    "a session whose calls count twice": ("counters_grow", changed("h", count=4)),
    "a crashed call that left a trace": ("counters_grow", changed("j", count=5)),
    "a late answer": ("answers_in_time", changed("c", answered=3.4)),
    "a crash for no reason": ("crashes_have_a_cause", replace(GOOD, strikes=())),
    "a crash elsewhere": (
        "crashes_have_a_cause",
        replace(GOOD, strikes=(Strike(4.1, 5.1, "an executor was killed", "w-1", 8),)),
    ),
    "a crash at another worker": (
        "crashes_have_a_cause",
        replace(GOOD, strikes=(Strike(4.1, 5.1, "a keeper was killed", "w-2"),)),
    ),
    "a call that a rollout hit": (
        "crashes_have_a_cause",
        replace(GOOD, strikes=(Strike(4.1, 5.1, "the spec", only_sessions=True),)),
    ),
    "a caller that left, and the call did not finish": (
        "the_gone_finish",
        replace(
            GOOD,
            sent=(*GOOD.sent, call("z", 12.0, 12.2, "gone", "unknown")),
            journal=(*GOOD.journal, *ran("z", 12.1, None)),
            finishes=True,
        ),
    ),
    "an idempotent call that ran again after it had ended": (
        "at_most_once",
        replace(changed("e", is_idempotent=True), journal=(*GOOD.journal, *ran("e", 2.85, 2.9))),
    ),
    "a crash that was told late": ("crashes_have_a_cause", changed("i", answered=5.3)),
    "a defect of our own": ("codes_are_known", changed("c", code="internal")),
    "a refusal that took its time": (
        "refusals_are_prompt",
        changed("b", cause="queue_full", answered=1.0),
    ),
    "no answer": ("answers_in_time", changed("c", code="silent")),
    "a process that lived on": (
        "killed_in_time",
        replace(GOOD, deaths=(Death("c", 7, 3.5),)),
    ),
    "a process that never died": (
        "killed_in_time",
        replace(GOOD, deaths=(Death("i", 7, None),)),
    ),
    "later than the pause was long": ("answers_in_time", changed("k", answered=10.5)),
    "a connection lost for no reason": (
        "resets_have_a_cause",
        replace(GOOD, pauses=GOOD.pauses[1:]),
    ),
    "a connection lost with a worker before any answer": (
        "resets_have_a_cause",
        replace(GOOD, pauses=GOOD.pauses[1:], strikes=(*GOOD.strikes, Strike(2.3, 3.0))),
    ),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forgery_is_caught(forgery: str) -> None:
    rule, history = FORGED[forgery]

    assert rule in {text.partition(":")[0] for text in violations(history)}


def test_a_long_answer_may_be_cut_with_its_link() -> None:
    """Its head was out: nothing else can be said."""
    cut = changed("e", shape="large")
    history = replace(cut, pauses=cut.pauses[1:], strikes=(*cut.strikes, Strike(2.3, 3.0)))

    assert not violations(history)


def test_an_idempotent_call_may_run_again_after_a_crash() -> None:
    history = replace(
        changed("l", is_idempotent=True),
        journal=(
            *GOOD.journal,
            Line(is_end=False, id="id-2", nonce="l", worker="w-1", pid=9, at=10.07),
        ),
    )

    assert violations(history) == []


def test_a_machine_that_stood_still_widens_by_as_much_and_no_more() -> None:
    """Where the call was on its way; and the report says so."""
    late = changed("c", answered=3.4)
    stalled = replace(late, pauses=(*late.pauses, Pause(2.7, 3.3, "machine", is_measured=True)))
    before = replace(late, pauses=(*late.pauses, Pause(1.7, 2.3, "machine", is_measured=True)))

    assert violations(stalled) == []
    assert [one.nonce for one in widened(stalled)] == ["c"]
    assert {text.partition(":")[0] for text in violations(before)} == {"answers_in_time"}
    assert widened(GOOD) == []


def test_a_session_without_persistence_is_lost_with_its_executor() -> None:
    lost = replace(
        GOOD,
        sent=(*GOOD.sent, call("m", 4.5, 4.6, "session_lost", "not_started", session="s")),
        strikes=(Strike(4.1, 4.3, "an executor was killed", "w-1", 7),),
    )

    assert violations(replace(lost, is_kept=False)) == []
    assert len(violations(lost)) == 1


def test_every_rule_has_a_forgery() -> None:
    assert {rule for rule, _ in FORGED.values()} == {rule.__name__ for rule in RULES}
