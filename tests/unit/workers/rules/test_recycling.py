"""The rules of replacement, against a server in which anything may happen."""

import ast
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hca_workers.rules import recycling, respawning
from hca_workers.rules.recycling import Policy, State, Verb
from tests.unit.workers.rules.world import DESIRED, POLICY, STORIES, Event, World


@pytest.fixture
def world() -> World:
    world = World()
    for _ in range(DESIRED):
        world.start()
    for _ in range(10):
        world.tick()
    assert world.done == []
    return world


@given(STORIES)
@settings(deadline=None)
def test_whatever_happens_one_at_a_time_goes_and_only_when_enough_others_are_ready(story: list[Event]) -> None:
    world = World()
    for event in story:
        world.live(event)
        assert len(world.processes) <= DESIRED + 1
        assert sum(process.draining for process in world.processes.values()) <= 1
        assert world.state.not_before <= world.now + recycling.LONGEST_INTERVAL_SECONDS
    # Left alone, the server comes to rest with as many as wanted, all ready, none too big.
    for process in world.processes.values():
        process.silent_since, process.rss = None, 50
    for _ in range(60):
        world.boot()
        world.leave()
        world.tick(sampled=True)
    assert len(world.processes) == DESIRED
    assert world.state.replacement is None


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(0, 7)), min_size=1, max_size=12))
@settings(deadline=None)
def test_with_apps_that_start_and_finish_there_are_never_fewer_ready_than_desired(
    leaks: list[tuple[int, int, int]],
) -> None:
    world = World()
    for _ in range(DESIRED):
        world.start()
    for which, boot, finish in leaks:
        leaking = sorted(world.processes)[which % len(world.processes)]
        world.processes[leaking].rss = 150
        for second in range(90):
            if second % 10 == boot:
                world.boot()
            if second % 8 == finish:
                world.leave()
            world.tick()
            serving = [process for process in world.processes.values() if process.ready and not process.draining]
            assert len(serving) >= DESIRED
        assert leaking not in world.processes


def test_a_spike_is_forgiven_and_samples_count_only_when_taken(world: World) -> None:
    world.processes[1].rss = 150
    world.tick()
    for _ in range(5):
        world.tick(sampled=False)
    world.processes[1].rss = 50
    world.tick()
    world.processes[1].rss = 150
    world.tick()
    assert world.done == []
    world.tick()
    assert world.verbs() == [Verb.REPLACE]


def test_the_new_one_is_ready_before_the_old_one_goes_and_a_late_one_is_killed(world: World) -> None:
    world.processes[1].rss = 150
    world.tick()
    assert [(action.verb, action.pid) for action in world.tick()] == [(Verb.REPLACE, 1)]
    for _ in range(9):
        assert world.tick() == []
    world.boot()
    (drain,) = world.tick()
    assert (drain.verb, drain.pid) == (Verb.DRAIN, 1)
    for _ in range(6):
        assert world.tick() == []
    (kill,) = world.tick()
    assert (kill.verb, kill.pid) == (Verb.KILL, 1)
    assert world.tick() == []
    assert sorted(world.processes) == [2, 3]


def test_the_old_one_stays_when_the_new_one_never_becomes_ready_and_each_try_waits_twice_as_long(
    world: World,
) -> None:
    world.processes[1].rss = 150
    for _ in range(400):
        world.tick()
    assert 1 in world.processes
    assert Verb.DRAIN not in world.verbs()
    tries = [when for when, action in world.done if action.verb is Verb.REPLACE]
    kept = [when for when, action in world.done if action.verb is Verb.NOTE]
    gaps = [again - before for before, again in zip(kept, tries[1:], strict=False)]
    assert gaps[:3] == [40, 80, 160]


def test_a_limit_that_every_new_worker_exceeds_makes_the_waits_double_up_to_an_hour(world: World) -> None:
    tries: list[float] = []
    for _ in range(12_000):
        for process in world.processes.values():
            process.ready, process.rss = True, 150
        world.leave()
        tries += [world.now for action in world.tick() if action.verb is Verb.REPLACE]
    # Of the first two, one was there before and is not known to be early.
    gaps = [again - before for before, again in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(recycling.LONGEST_INTERVAL_SECONDS, abs=5)
    assert gaps[2] > 2 * POLICY.min_interval_seconds


def test_a_worker_that_leaks_slowly_resets_the_guard(world: World) -> None:
    world.state = State(failures=5, observed_at=world.now)
    world.processes[1].rss = 150
    for _ in range(5):
        world.boot()
        world.leave()
        world.tick()
    assert 1 not in world.processes
    assert world.state.failures == 0
    assert world.state.not_before <= world.now + POLICY.min_interval_seconds


def test_a_silent_worker_is_killed_at_once_and_one_that_drains_is_left_to_its_own_limit(world: World) -> None:
    world.processes[1].silent_since = world.now
    for _ in range(8):
        assert world.tick() == []
    (kill,) = world.tick()
    assert (kill.verb, kill.pid) == (Verb.KILL, 1)
    world.tick()
    world.processes[2].rss = 150
    while not world.processes[2].draining:
        world.boot()
        world.tick()
    world.processes[2].silent_since = world.now - 100
    assert world.tick() == []


def test_a_supervisor_that_was_frozen_itself_ignores_the_silence_of_that_time(world: World) -> None:
    for process in world.processes.values():
        process.silent_since = world.now
    assert world.tick(300) == []
    assert world.tick(1) == []
    for process in world.processes.values():
        process.silent_since = None
    for _ in range(20):
        assert world.tick(1) == []


def test_requested_replacements_are_done_one_by_one_without_an_interval_and_dropped_on_failure(
    world: World,
) -> None:
    world.request(1, 2)
    for _ in range(10):
        world.tick()
        world.boot()
        world.leave()
    assert sorted(world.processes) == [3, 4]

    world.request(3, 4)
    for _ in range(100):
        world.tick()
    assert sorted(world.processes) == [3, 4]
    assert [action.verb for _, action in world.done[-3:]] == [Verb.REPLACE, Verb.KILL, Verb.NOTE]


def test_a_new_one_that_comes_after_it_was_given_up_replaces_the_old_one_after_all(world: World) -> None:
    world.processes[1].rss = 150
    for _ in range(40):
        world.tick(starts=False)
    assert world.verbs() == [Verb.REPLACE, Verb.NOTE]
    world.start()
    (drain,) = world.tick()
    assert (drain.verb, drain.pid) == (Verb.DRAIN, 1)


def test_a_new_one_that_dies_before_it_is_observed_was_no_replacement(world: World) -> None:
    world.processes[1].rss = 150
    world.tick()
    world.tick()
    del world.processes[3]
    (note,) = world.tick()
    assert (note.verb, note.pid) == (Verb.NOTE, 1)
    assert sorted(world.processes) == [1, 2]


def test_an_old_one_that_ends_by_itself_has_been_replaced(world: World) -> None:
    world.processes[1].rss = 150
    world.tick()
    world.tick()
    del world.processes[1]
    world.boot()
    assert world.tick() == []
    assert world.state.replacement is None
    assert sorted(world.processes) == [2, 3]


def test_without_a_limit_no_worker_is_too_big() -> None:
    world = World(policy=Policy())
    for _ in range(DESIRED):
        world.start()
    world.processes[1].rss = 2**60
    for _ in range(100):
        assert world.tick() == []
    assert Policy().max_rss_bytes == math.inf


def test_a_worker_that_dies_young_is_started_later_each_time_and_an_old_one_at_once() -> None:
    def delays() -> Iterator[float]:
        backoff = respawning.RestartBackoff()
        for _ in range(7):
            backoff = backoff.after_death(age_seconds=1, now=100)
            yield backoff.not_before - 100

    assert list(delays()) == [1, 2, 4, 8, 16, 30, 30]
    assert respawning.RestartBackoff(7, 500).after_death(age_seconds=60, now=100) == respawning.RestartBackoff()


@pytest.mark.parametrize("path", sorted(Path(recycling.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_the_rules_reach_neither_the_clock_nor_the_world(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"math", "collections", "dataclasses", "enum"}
