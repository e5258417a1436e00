"""From what pods count to the floor, in whatever phase they are asked, read and looked at."""

import math
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.metric_types import REQUESTS_PER_SECOND
from hca_operator.controller.load_poller import LOAD_POLL_SECONDS as POLL_SECONDS
from hca_operator.metrics_server.pods.pod_polling import POD_POLL_SECONDS
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import WINDOW_SECONDS, SampleStore
from hca_operator.metrics_server.serving.bursts import BURST_WINDOW_SECONDS
from hca_operator.scaling.burst import BurstPolicy, BurstTracker, Load, burst_floor
from tests.unit.operator.reconcile.passes import KEY

STEP, END = 30.0, 60.0
POLICY = BurstPolicy({REQUESTS_PER_SECOND.external: 50.0}, threshold=2.0, max_pods=100, window=timedelta(seconds=60))
START = datetime(2026, 1, 5, tzinfo=UTC)
phases = st.floats(0, 1, exclude_max=True)


class Pods:
    """Pods that share a load, which is another one from the step on, and are asked for it now and then."""

    def __init__(self, shares: list[float], before: float, after: float) -> None:
        """`shares`: of the interval, at which each pod is asked."""
        self.now = 0.0
        self._signals = SampleStore(lambda: self.now)
        self._signals.follow(KEY, [str(pod) for pod in range(len(shares))])
        self._due = sorted(
            ((share + turn) * POD_POLL_SECONDS, pod)
            for pod, share in enumerate(shares)
            for turn in range(int(END / POD_POLL_SECONDS))
        )
        self._before, self._after, self._count = before, after, len(shares)

    def lately(self, now: float, window: float) -> float | None:
        """Requests in a second, None where that is not known."""
        while self._due and self._due[0][0] <= now:
            self.now, pod = self._due.pop(0)
            served = self._before * min(self.now, STEP) + self._after * max(0.0, self.now - STEP)
            self._signals.add(KEY, str(pod), PodSample(requests=math.floor(served / self._count)))
        self.now = now
        try:
            return self._signals.read(*KEY, REQUESTS_PER_SECOND.external, START, window_seconds=window).value
        except Unknown:
            return None


@given(shares=st.lists(phases, min_size=1, max_size=5), phase=phases, height=st.integers(4, 15))
def test_a_step_is_met_at_its_full_height_before_the_autoscalers_mean_has_all_of_it(
    shares: list[float], phase: float, height: int
) -> None:
    pods = Pods(shares, before=20.0 * len(shares), after=50.0 * height * len(shares) - 25)
    tracker = BurstTracker()
    tracker.track(KEY, POLICY, {"spec": {"replicas": len(shares)}, "status": {"readyReplicas": len(shares)}})
    raised = None
    for turn in range(int(END / POLL_SECONDS)):
        second = (phase + turn) * POLL_SECONDS
        lately = pods.lately(second, BURST_WINDOW_SECONDS)
        loads = {} if lately is None else {REQUESTS_PER_SECOND.external: Load(lately, BURST_WINDOW_SECONDS)}
        if KEY in tracker.take({KEY: loads}, START + timedelta(seconds=second)):
            raised = second
            break
    assert raised is not None, "it was not seen"
    assert STEP < raised < STEP + WINDOW_SECONDS + POD_POLL_SECONDS
    floor = burst_floor(POLICY, tracker.state(KEY), {}, START + timedelta(seconds=raised))
    assert floor.pods == height * len(shares), "no less and no more"
