"""Node's workers are replaced by the same rules as Python's: both decide the same stories."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hca_workers.recycling import Policy, Seen, State, Worker, asked, decide
from tests.unit.sample_app.real_servers import program

HERE = Path(__file__).parent
POLICY = Policy(max_rss=100, samples=2, early=30, max_silence=8, boot_timeout=20, kill_timeout=6, min_interval=10)
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

WORKERS = st.builds(
    Worker,
    pid=st.integers(1, 5),
    age=st.sampled_from([1.0, 10.0, 25.0, 40.0]),
    ready=st.sampled_from([True, True, True, False]),
    silence=st.sampled_from([0.0, 0.0, 0.0, 9.0]),
    rss=st.sampled_from([None, 50, 150, 150]),
)
MOMENTS = st.tuples(
    st.lists(WORKERS, max_size=4, unique_by=lambda worker: worker.pid),
    st.sampled_from([0.5, 1.0, 3.0, 30.0]),
    st.lists(st.integers(1, 5), max_size=1),
    st.sampled_from([(), (), (), (1,)]),
)


@pytest.fixture(scope="module")
def node() -> Iterator[Judge]:
    with subprocess.Popen(
        [program("node", "nodejs"), str(HERE / "decide.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, answers = process.stdin, process.stdout

        def decided(moment: dict[str, Any]) -> Any:
            told.write(json.dumps(moment) + "\n")
            told.flush()
            return json.loads(answers.readline())

        yield decided


@given(st.lists(MOMENTS, min_size=1, max_size=30))
@settings(deadline=None)
def test_both_decide_the_same(node: Judge, story: list[tuple[list[Worker], float, list[int], tuple[int, ...]]]) -> None:
    state, now = State(), 1000.0
    for number, (workers, pause, ended, wanted_by_somebody) in enumerate(story):
        now += pause
        state = asked(state, wanted_by_somebody)
        state, acts = decide(state, Seen(workers, 2, now, ended), POLICY)
        seen = {"workers": [asdict(worker) for worker in workers], "wanted": 2, "now": now, "ended": ended}
        moment = {"seen": seen, "asked": wanted_by_somebody, "policy": None if number else POLICY_OF_NODE}
        assert node(moment) == [[[act.verb, act.pid, act.why, act.too_big] for act in acts], state.surplus]
