"""Node's workers are replaced by the same rules as Python's: both decide the same on the same events."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.programs import program
from hca_workers.rules.respawning import RestartBackoff
from tests.unit.workers.rules.world import POLICY, STORIES, Event, World

HERE = Path(__file__).parent
Judge = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def node() -> Iterator[Judge]:
    with subprocess.Popen(
        [program("node"), str(HERE / "decide.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def decided(moment: dict[str, Any]) -> Any:
            questions.write(json.dumps(moment) + "\n")
            questions.flush()
            return json.loads(answers.readline())

        yield decided


@given(STORIES)
@settings(deadline=None, max_examples=60)
def test_both_decide_the_same(node: Judge, story: list[Event]) -> None:
    world = World()
    for number, event in enumerate(story):
        before = len(world.done)
        world.live(event)
        observed, requested = world.observations[-1]
        moment = {
            "observed": asdict(observed),
            "requested": requested,
            "policy": None if number else asdict(POLICY),
        }
        actions = [[action.verb, action.pid, action.reason] for _, action in world.done[before:]]
        assert node(moment) == [actions, world.state.surplus]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 10**6)), max_size=12))
@settings(deadline=None, max_examples=60)
def test_both_delay_the_restart_of_a_worker_that_died_early_as_long(node: Judge, deaths: list[tuple[int, int]]) -> None:
    backoff, expected = RestartBackoff(), []
    for age, now in deaths:
        backoff = backoff.after_death(age_seconds=age, now=now)
        expected.append([backoff.early_deaths, backoff.not_before if backoff.early_deaths else None])
    assert node({"deaths": deaths}) == expected
