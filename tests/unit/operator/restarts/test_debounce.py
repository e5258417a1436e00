"""Several changes are one rollout, and a configuration that changes all the time restarts pods ever less often."""

import itertools

from hca_operator.restarts.debounce import EARLY, LONGEST_GAP, LONGEST_QUIET, QUIET, SHORTEST_GAP, Debounce


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def rollouts(changes: list[float], *, until: float, spread: float = 0.0) -> list[float]:
    """When pods are restarted for changes at these seconds, with a look at each of them and where one is due."""
    clock = Clock()
    debounce = Debounce(clock, lambda: spread)
    start, done, carried, due = clock.now, [], "", None
    pending = sorted(changes)
    while pending or due is not None:
        moments = [start + moment for moment in pending[:1]] + ([due] if due is not None else [])
        clock.now = min(moments)
        if clock.now > start + until:
            break
        if pending and clock.now == start + pending[0]:
            pending.pop(0)
        latest = str(len(changes) - len(pending))
        due = None
        if latest != carried:
            if wait := debounce.wait("shop", latest):
                due = clock.now + wait
            else:
                debounce.carried_out("shop")
                carried = latest
                done.append(clock.now - start)
    assert carried == str(len(changes)) or done[-1] > until - LONGEST_GAP, "the last state is carried out"
    return done


def test_a_change_waits_for_a_moment_of_quiet() -> None:
    assert rollouts([0], until=100) == [QUIET]


def test_a_burst_is_one_rollout_with_the_last_state() -> None:
    assert rollouts([0, 1, 2, 3, 4], until=100) == [4 + QUIET]


def test_changes_without_a_pause_are_not_waited_for_without_end() -> None:
    assert rollouts([float(second) for second in range(60)], until=100)[0] == LONGEST_QUIET - EARLY


def test_what_changes_all_the_time_is_rolled_out_ever_more_seldom() -> None:
    done = rollouts([float(second) for second in range(0, 7200, 2)], until=7200)
    gaps = [after - before for before, after in itertools.pairwise(done)]
    assert SHORTEST_GAP <= gaps[0] <= LONGEST_QUIET + 2
    assert gaps[1:5] == [60, 120, 240, 480]
    assert set(gaps[5:]) == {LONGEST_GAP}


def test_after_a_rest_a_change_waits_no_longer_than_the_first() -> None:
    assert rollouts([0, 10, 1000], until=2000) == [QUIET, QUIET + SHORTEST_GAP, 1000 + QUIET]


def test_a_change_that_is_taken_back_in_time_restarts_nothing() -> None:
    clock = Clock()
    debounce = Debounce(clock, lambda: 0.0)
    assert debounce.wait("shop", "b") == QUIET
    debounce.unchanged("shop")
    clock.now += LONGEST_QUIET
    assert debounce.wait("shop", "c") == QUIET, "counted from the change that is there now"


def test_many_changes_at_the_same_time_are_spread() -> None:
    debounce = Debounce(Clock(), lambda: 0.5)
    waits = [debounce.wait(number, "b") for number in range(1000)]
    assert waits[0] == QUIET
    assert waits == sorted(set(waits))
    assert waits[-1] > 400
