"""What a pool does next: new before old, idle before busy, failed ones kept until replaced."""

from pythonpool_local.plan import Moves, Phase, Seat, decide, surge


def seat(name: str, phase: Phase = "ready", *, stays: bool = True, load: int = 0) -> Seat:
    return Seat(name, phase, stays, load)


def moves(start: int = 0, drain: tuple[str, ...] = (), kill: tuple[str, ...] = ()) -> Moves:
    return Moves(start, drain, kill)


def test_an_empty_pool_starts_all_at_once() -> None:
    assert decide([], 4, 1, True) == moves(start=4)


def test_a_full_pool_is_left_alone() -> None:
    assert decide([seat("a"), seat("b", "starting")], 2, 1, True) == moves()


def test_a_failed_worker_stays_until_its_place_is_taken() -> None:
    seats = [seat("a"), seat("b", "failed")]

    assert decide(seats, 2, 1, False) == moves()
    assert decide(seats, 2, 1, True) == moves(start=1, kill=("b",))


def test_a_failed_worker_that_is_not_needed_goes() -> None:
    assert decide([seat("a"), seat("b", "failed")], 1, 1, False) == moves(kill=("b",))


def test_scale_down_takes_those_that_start_then_the_idle() -> None:
    seats = [seat("busy", load=3), seat("idle"), seat("new", "starting")]

    assert decide(seats, 1, 1, True) == moves(drain=("idle",), kill=("new",))


def test_to_zero() -> None:
    seats = [seat("a"), seat("b", "failed"), seat("c", "starting")]

    assert decide(seats, 0, 1, True) == moves(drain=("a",), kill=("c", "b"))


def test_recycling_makes_the_new_one_ready_before_the_old_one_goes() -> None:
    old = seat("old", stays=False)

    assert decide([old], 1, 1, True) == moves(start=1)
    assert decide([old, seat("new", "starting")], 1, 1, True) == moves()
    assert decide([old, seat("new")], 1, 1, True) == moves(drain=("old",))


def test_a_rollout_goes_by_quarters() -> None:
    old = [seat(f"old{n}", stays=False) for n in range(8)]

    assert decide(old, 8, surge(8), True) == moves(start=2)

    new = [seat("new0"), seat("new1", "starting")]
    assert decide([*old, *new], 8, surge(8), True) == moves(drain=("old0",))


def test_old_workers_that_do_not_serve_go_at_once() -> None:
    seats = [seat("old", "starting", stays=False), seat("bad", "failed", stays=False)]

    assert decide(seats, 1, 1, True) == moves(start=1, kill=("old", "bad"))


def test_one_gpu_is_freed_before_it_is_taken() -> None:
    old = seat("old", stays=False)

    assert decide([old], 1, 0, True) == moves(drain=("old",))
    assert decide([seat("old", "leaving", stays=False)], 1, 0, True) == moves()
    assert decide([], 1, 0, True) == moves(start=1)


def test_gpu_workers_are_replaced_one_by_one() -> None:
    old = [seat("old1", stays=False), seat("old2", stays=False)]

    assert decide(old, 2, 0, True) == moves(drain=("old1",))
    assert decide([old[1], seat("new", "starting")], 2, 0, True) == moves()
    assert decide([old[1], seat("new")], 2, 0, True) == moves(drain=("old2",))


def test_every_sequence_of_starts_ends_at_the_ordered_number() -> None:
    """Whatever the mixture, following the moves reaches a full pool without a dip below it."""
    for replicas in range(1, 7):
        for more in (1, surge(replicas)):
            seats = [seat(f"old{n}", stays=False) for n in range(replicas)]
            for step in range(30):
                made = decide(seats, replicas, more, True)
                seats = [s for s in seats if s.name not in made.drain + made.kill]
                seats = [seat(s.name, "ready", stays=s.stays) for s in seats]
                assert sum(s.phase == "ready" for s in seats) >= replicas
                seats += [seat(f"new{step}-{n}", "starting") for n in range(made.start)]
            assert len(seats) == replicas
            assert all(s.stays for s in seats)
