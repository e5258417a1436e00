"""Node's workers are replaced by the same rules as Python's: both decide the same stories."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from dev.programs import program
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
