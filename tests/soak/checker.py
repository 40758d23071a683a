"""The history checker: holds a soak's log against its journal and says what was not as promised.

Pure. Each rule is one function that yields a line for each violation; `violations` runs them all.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from soak.history import History, Line, Pause, Sent, Strike

LATE_SECONDS = 0.25
"""API.md 2.2: how long after the deadline an answer may come."""

KILLED_SECONDS = 1.0
"""API.md 2.2: how long after the deadline the process and its descendants may live."""

_SEEN_SECONDS = 0.2
"""How late a death may be seen."""

_WAY_SECONDS = 1.0
"""How long after the request a machine that stands still can keep it from its worker."""

UNANSWERED = ("reset", "gone", "silent")
"""Codes of the caller's own: the connection brought no answer."""

DEADLY = ("exit", "kill", "hog")
"""Shapes that end their own process."""

LARGE = "large"
"""The shape whose answer comes in parts, to a caller that lets it wait."""

EXPECTED = frozenset(
    (
        "ok",
        "command_failed",
        "timeout",
        "worker_crashed",
        "out_of_memory",
        "resource_exhausted",
        "unavailable",
        "session_lost",
        *UNANSWERED,
    )
)
"""What may come back when code and processes fail; anything else is a defect or a wrong request."""

Rule = Callable[[History], Iterable[str]]


def violations(history: History) -> list[str]:
    """Every breach of every rule, each with the name of its rule."""
    return [f"{rule.__name__}: {text}" for rule in RULES for text in rule(history)]


def own_nonce(history: History) -> Iterator[str]:
    """A good answer carries the nonce of its own call."""
    for call in history.sent:
        if call.code == "ok" and call.echoed != call.nonce:
            yield f"{call.nonce} was answered with the nonce {call.echoed}"


def at_most_once(history: History) -> Iterator[str]:
    """No execution and no sent call starts twice; an idempotent one once more after a crash."""
    starts: dict[str, list[Line]] = defaultdict(list)
    for line in history.journal:
        if not line.is_end:
            starts[line.nonce].append(line)
    ended = {(line.nonce, line.id): line.at for line in history.journal if line.is_end}
    again = {call.nonce for call in history.sent if call.is_idempotent}
    for nonce, runs in starts.items():
        if len(runs) > (2 if nonce in again else 1):
            yield f"{nonce} started {len(runs)} times"
        yield from (
            f"{nonce} was run again although {run.id} had ended, and nothing was struck"
            for run in runs[:-1]
            if nonce in again and _has_answered(run, ended, history)
        )
    for key, count in Counter(run.id for runs in starts.values() for run in runs).items():
        if count > 1:
            yield f"id {key} started {count} times"


def _has_answered(run: Line, ended: dict[tuple[str, str], float], history: History) -> bool:
    """Whether a run came to its end, and no link or process broke that had to tell it."""
    at = ended.get((run.nonce, run.id))
    return at is not None and not any(
        each.pid is None and each.worker in (None, run.worker) and each.began <= at <= each.ended
        for each in history.strikes
    )


def outcome_is_true(history: History) -> Iterator[str]:
    """`not_started` has no start, `finished` has an end."""
    started = {line.nonce for line in history.journal if not line.is_end}
    ended = {line.nonce for line in history.journal if line.is_end}
    for call in history.sent:
        if call.outcome == "not_started" and call.nonce in started:
            yield f"{call.nonce} ({call.code}) was not_started, but the journal has its start"
        if call.outcome == "finished" and call.nonce not in ended:
            yield f"{call.nonce} ({call.code}) was finished, but the journal has no end"


def answered_once(history: History) -> Iterator[str]:
    """Log and journal balance: one entry for each call, and nothing ran that nobody sent."""
    logged = Counter(call.nonce for call in history.sent)
    yield from (f"{nonce} has {n} entries in the log" for nonce, n in logged.items() if n > 1)
    ids = {call.nonce: call.id for call in history.sent if call.id and not call.is_idempotent}
    for line in history.journal:
        if line.nonce not in logged:
            yield f"{line.nonce} of {line.worker} is in the journal, but nobody sent it"
        elif line.nonce in ids and ids[line.nonce] != line.id:
            yield f"{line.nonce} was answered as {ids[line.nonce]}, but ran as {line.id}"
    starts = {line.id for line in history.journal if not line.is_end}
    yield from (
        f"{line.id} ended without a start" for line in history.journal if _lost(line, starts)
    )


def _lost(line: Line, starts: set[str]) -> bool:
    return line.is_end and line.id not in starts


def slots_are_kept(history: History) -> Iterator[str]:
    """Never more calls running than slots, per worker."""
    moves: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    for began, ended, line in _running(history):
        moves[line.worker] += [(began, 1, line.nonce), (ended, -1, line.nonce)]
    for worker, steps in moves.items():
        running: set[str] = set()
        for at, step, nonce in sorted(steps, key=lambda each: each[:2]):
            running.add(nonce) if step > 0 else running.discard(nonce)
            if len(running) > history.slots:
                yield f"{worker} ran {sorted(running)} at {at:.3f} with {history.slots} slots"


def _running(history: History) -> Iterator[tuple[float, float, Line]]:
    """From when to when each call ran for certain; a killed one at least until its deadline."""
    ends = {line.id: line.at for line in history.journal if line.is_end}
    calls = {call.nonce: call for call in history.sent if not call.is_idempotent}
    for line in history.journal:
        if line.is_end:
            continue
        call = calls.get(line.nonce)
        if line.id in ends:
            yield line.at, ends[line.id], line
        elif call is not None and call.code == "timeout":
            known = min(call.answered - 2 * LATE_SECONDS, call.sent + call.timeout - LATE_SECONDS)
            if known > line.at:
                yield line.at, known, line


def counters_grow(history: History) -> Iterator[str]:
    """A session's counter grows by one per finished call, and falls to its last snapshot at most.

    A call whose answer is unknown may have finished: where the journal has its end, it may count.
    """
    counts = {line.nonce: line.count for line in history.journal if line.is_end}
    sessions: dict[str, list[Sent]] = defaultdict(list)
    for call in history.sent:
        if call.session:
            sessions[call.session].append(call)
    for name, calls in sessions.items():
        low = high = 0
        for call in sorted(calls, key=lambda each: each.sent):
            count = counts.get(call.nonce) if call.count is None else call.count
            if call.outcome == "finished" and count is not None:
                if not low < count <= high + 1:
                    yield f"session {name}: {call.nonce} counted {count}, not {low + 1}..{high + 1}"
                low = high = count
            elif call.outcome == "unknown" and call.nonce in counts:
                high += 1


def answers_in_time(history: History) -> Iterator[str]:
    """An answer comes 250 ms after the deadline at the latest, pauses not counted."""
    for call in history.sent:
        if call.code == "gone":
            continue
        late = _late(call) - _paused(call.sent, call.answered, history.pauses)
        if late > LATE_SECONDS:
            late -= _stalled(call, history.pauses)
        if call.code == "silent" or late > LATE_SECONDS:
            yield f"{call.nonce} ({call.code}, {call.worker or 'no worker'}) {late:.3f} s late"


def widened(history: History) -> list[Sent]:
    """Calls whose answers were late, but for what the machine is known to have stood still."""
    return [
        call
        for call in history.sent
        if call.code != "gone"
        and _late(call) - _paused(call.sent, call.answered, history.pauses) > LATE_SECONDS
    ]


def _late(call: Sent) -> float:
    return call.answered - call.sent - call.allowed


def _stalled(call: Sent, pauses: Iterable[Pause]) -> float:
    """Seconds that the machine stood still while the call was on its way, there and back."""
    measured = [pause for pause in pauses if pause.is_measured]
    due = call.sent + call.allowed
    there = min(call.sent + _WAY_SECONDS, due)
    return union(call.sent, there, measured) + union(due, call.answered, measured)


def _paused(began: float, ended: float, pauses: Iterable[Pause], *, kills: bool = False) -> float:
    """Seconds between two times in which something was made to stand still."""
    return union(
        began,
        ended,
        [each for each in pauses if not each.is_measured and (kills or not each.only_kills)],
    )


def _excused(began: float, ended: float, pauses: Iterable[Pause], *, kills: bool = False) -> float:
    """Seconds between two times in which something, or the machine, stood still."""
    among = [each for each in pauses if kills or not each.only_kills]
    return union(began, ended, among)


def union(began: float, ended: float, pauses: Iterable[Pause]) -> float:
    """Seconds between two times that lie in any of the pauses."""
    total, until = 0.0, began
    for pause in sorted(pauses, key=lambda each: each.began):
        total += max(0.0, min(ended, pause.ended) - max(until, pause.began))
        until = max(until, pause.ended)
    return total


def refusals_are_prompt(history: History) -> Iterator[str]:
    """Who finds the line full is told at once."""
    for call in history.sent:
        if call.cause == "queue_full":
            took = call.answered - call.sent - call.idle
            took -= _excused(call.sent, call.answered, history.pauses)
            if took > LATE_SECONDS:
                yield f"{call.nonce} was refused (queue_full) after {took:.3f} s"


def killed_in_time(history: History) -> Iterator[str]:
    """What ran for a call that was given up is dead within a second."""
    ended = {line.nonce for line in history.journal if line.is_end}
    calls = {call.nonce: call for call in history.sent}
    for death in history.deaths:
        if death.nonce in ended or death.nonce not in calls:
            continue
        if history.finishes and calls[death.nonce].code == "gone":
            continue
        began = calls[death.nonce].answered
        dead = math.inf if death.dead is None else death.dead
        late = dead - began - _excused(began, dead, history.pauses, kills=True)
        if late > KILLED_SECONDS + _SEEN_SECONDS:
            yield f"{death.nonce}: process {death.pid} died {dead - began:.3f} s after the answer"


def resets_have_a_cause(history: History) -> Iterator[str]:
    """A connection is lost only with its router, or in a long answer whose worker was hit."""
    for call in history.sent:
        if call.code != "reset" or _paused(call.sent, call.answered, history.pauses):
            continue
        # Its head is out when the rest can not come: cutting is all that a router can do.
        was_cut = call.shape == LARGE and any(_hit(call, None, s, history) for s in history.strikes)
        if not was_cut:
            yield f"{call.nonce}: its connection was lost at {call.answered:.3f}, for no reason"


def crashes_have_a_cause(history: History) -> Iterator[str]:
    """Only what ran, or lived, where something failed is hit, and its caller knows in time."""
    pids = {line.nonce: line.pid for line in history.journal}
    for call in history.sent:
        if call.code not in ("worker_crashed", "out_of_memory", "session_lost"):
            continue
        if call.shape in DEADLY or history.is_shared:
            continue
        if call.code == "session_lost" and not history.is_kept and _was_killed(call, history):
            continue
        if not any(_hit(call, pids.get(call.nonce), each, history) for each in history.strikes):
            yield f"{call.nonce} ({call.code}, {call.shape}) at {call.answered:.3f}, for no reason"


def _hit(call: Sent, pid: int | None, strike: Strike, history: History) -> bool:
    if strike.only_sessions and call.code != "session_lost":
        return False
    if strike.worker is not None and call.worker not in ("", strike.worker):
        return False
    if strike.pid is not None and pid not in (None, strike.pid):
        return False
    excused = _excused(strike.began, call.answered, history.pauses, kills=True)
    return strike.began <= call.answered <= strike.ended + excused


def _was_killed(call: Sent, history: History) -> bool:
    """Whether an earlier call of its session was killed, or its fate is not known."""
    return any(
        other.session == call.session and other.sent < call.sent and other.outcome == "unknown"
        for other in history.sent
    )


def the_gone_finish(history: History) -> Iterator[str]:
    """With `onDisconnect: Finish` a call whose caller has gone runs to its end."""
    if not history.finishes:
        return
    ended = {line.nonce for line in history.journal if line.is_end}
    starts = {line.nonce: line for line in history.journal if not line.is_end}
    for call in history.sent:
        line = starts.get(call.nonce)
        if call.code != "gone" or line is None or call.nonce in ended or not call.ends_itself:
            continue
        if not any(_struck(line, each) for each in history.strikes):
            yield f"{call.nonce} ({call.shape}) did not run to its end"


def _struck(line: Line, strike: Strike) -> bool:
    return (
        not strike.only_sessions
        and strike.worker in (None, line.worker)
        and strike.pid in (None, line.pid)
        and strike.ended >= line.at
    )


def codes_are_known(history: History) -> Iterator[str]:
    """No `internal`, and nothing that only a wrong request gets."""
    for call in history.sent:
        if call.code not in EXPECTED:
            yield f"{call.nonce} was answered with {call.code}"


RULES: tuple[Rule, ...] = (
    own_nonce,
    at_most_once,
    outcome_is_true,
    answered_once,
    slots_are_kept,
    counters_grow,
    answers_in_time,
    refusals_are_prompt,
    killed_in_time,
    resets_have_a_cause,
    crashes_have_a_cause,
    the_gone_finish,
    codes_are_known,
)
