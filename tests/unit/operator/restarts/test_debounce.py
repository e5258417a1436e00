"""Several changes are one rollout, and a configuration that changes all the time restarts pods ever less often."""

import itertools

from hca_operator.restarts.debounce import (
    EARLY_SECONDS,
    LONGEST_GAP_SECONDS,
    LONGEST_QUIET_SECONDS,
    QUIET_SECONDS,
    SHORTEST_GAP_SECONDS,
    DebounceState,
    DebounceTracker,
    after_rollout,
    changed,
    unchanged,
)

START = 1000.0
"""The second at which a test starts."""


def rollouts(changes: list[float], *, until: float) -> list[float]:
    """When pods are restarted for changes at these seconds, with a look at each of them and where one is due."""
    state, now, done, carried, due = DebounceState(), START, [], "", None
    pending = sorted(changes)
    while pending or due is not None:
        moments = [START + moment for moment in pending[:1]] + ([due] if due is not None else [])
        now = min(moments)
        if now > START + until:
            break
        if pending and now == START + pending[0]:
            pending.pop(0)
        latest = str(len(changes) - len(pending))
        due = None
        if latest != carried:
            state, wait = changed(state, latest, now, spread=0.0)
            if wait:
                due = now + wait
            else:
                state = after_rollout(state, now)
                carried = latest
                done.append(now - START)
    assert carried == str(len(changes)) or done[-1] > until - LONGEST_GAP_SECONDS, "the last state is carried out"
    return done


def test_a_change_waits_for_a_moment_of_quiet() -> None:
    assert rollouts([0], until=100) == [QUIET_SECONDS]


def test_a_burst_is_one_rollout_with_the_last_state() -> None:
    assert rollouts([0, 1, 2, 3, 4], until=100) == [4 + QUIET_SECONDS]


def test_changes_without_a_pause_are_not_waited_for_without_end() -> None:
    assert rollouts([float(second) for second in range(60)], until=100)[0] == LONGEST_QUIET_SECONDS - EARLY_SECONDS


def test_what_changes_all_the_time_is_rolled_out_ever_more_seldom() -> None:
    done = rollouts([float(second) for second in range(0, 7200, 2)], until=7200)
    gaps = [after - before for before, after in itertools.pairwise(done)]
    assert SHORTEST_GAP_SECONDS <= gaps[0] <= LONGEST_QUIET_SECONDS + 2
    assert gaps[1:5] == [60, 120, 240, 480]
    assert set(gaps[5:]) == {LONGEST_GAP_SECONDS}


def test_after_a_rest_a_change_waits_no_longer_than_the_first() -> None:
    assert rollouts([0, 10, 1000], until=2000) == [
        QUIET_SECONDS,
        QUIET_SECONDS + SHORTEST_GAP_SECONDS,
        1000 + QUIET_SECONDS,
    ]


def test_a_change_that_is_taken_back_in_time_restarts_nothing() -> None:
    state, wait = changed(DebounceState(), "b", START, spread=0.0)
    assert wait == QUIET_SECONDS
    _, wait = changed(unchanged(state), "c", START + LONGEST_QUIET_SECONDS, spread=0.0)
    assert wait == QUIET_SECONDS, "counted from the change that is there now"


def test_a_clock_that_is_set_back_delays_no_change() -> None:
    state, _ = changed(DebounceState(), "b", START, spread=0.0)
    hour = 3600.0
    assert changed(state, "b", START - hour, spread=0.0)[1] == QUIET_SECONDS
    assert changed(after_rollout(state, START), "c", START - hour, spread=0.0)[1] == QUIET_SECONDS


def test_many_changes_at_the_same_time_are_spread() -> None:
    tracker = DebounceTracker(lambda: 0.5)
    waits = []
    for number in range(1000):
        state, wait = changed(tracker.state(number), "b", START, tracker.spread())
        tracker.keep(number, state)
        waits.append(wait)
    assert waits[0] == QUIET_SECONDS
    assert waits == sorted(set(waits))
    assert waits[-1] > 400


def test_nothing_is_kept_of_what_is_over() -> None:
    tracker = DebounceTracker(lambda: 1.0)
    tracker.keep("a", changed(DebounceState(), "b", START, spread=0.0)[0])
    assert tracker.spread() == 1
    tracker.keep("a", after_rollout(tracker.state("a"), START))
    assert tracker.spread() == 0
    assert tracker.state("a") != DebounceState()
    tracker.forget("a")
    assert tracker.state("a") == DebounceState()
