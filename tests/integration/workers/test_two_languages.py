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
from tests.unit.workers.world import POLICY, STORIES, Event, World

HERE = Path(__file__).parent
POLICY_OF_NODE = {
    "maxRss": POLICY.max_rss,
    "samples": POLICY.samples,
    "early": POLICY.early,
    "maxSilence": POLICY.max_silence,
    "bootTimeout": POLICY.boot_timeout,
    "killTimeout": POLICY.kill_timeout,
    "minInterval": POLICY.min_interval,
}

Judge = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def node() -> Iterator[Judge]:
    with subprocess.Popen(
        [program("node"), str(HERE / "decide.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, answers = process.stdin, process.stdout

        def decided(moment: dict[str, Any]) -> Any:
            told.write(json.dumps(moment) + "\n")
            told.flush()
            return json.loads(answers.readline())

        yield decided


@given(STORIES)
@settings(deadline=None, max_examples=60)
def test_both_decide_the_same(node: Judge, story: list[Event]) -> None:
    world = World()
    for number, event in enumerate(story):
        before = len(world.done)
        world.live(event)
        seen, asked = world.looks[-1]
        moment = {"seen": asdict(seen), "asked": asked, "policy": None if number else POLICY_OF_NODE}
        acts = [[act.verb, act.pid, act.why] for _, act in world.done[before:]]
        assert node(moment) == [acts, world.state.surplus]
