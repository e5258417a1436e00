"""What autoscalers make of half an hour in which pods tell nothing, or nothing that is true: every way in which it
happens, with a clock that the test moves."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hca_operator.core.errors import HcaError
from hca_operator.core.names import API_LABEL
from hca_operator.core.ports import Key
from hca_operator.metrics_server.ingress.reader import ENVOYS
from hca_operator.metrics_server.samples.exposition import Exposition, Unreadable
from hca_operator.metrics_server.samples.sample_store import PODS, WINDOW_SECONDS, SampleSource, SampleStore
from hca_operator.metrics_server.serving.values import external_metric_value

SHOP = Key("default", "shop")
SCRAPE, SYNC = 2, 15
"""Seconds between two looks at a pod, and between two of the autoscaler."""
BEGIN, HALF_AN_HOUR = 60, 1800
TARGETS = {"hca-requests-per-second": 10.0, "hca-concurrency": 5.0}
FEWEST, BEFORE = 1, 4
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = """\
# TYPE http_requests_total counter
http_requests_total {count}
# TYPE http_requests_in_flight gauge
http_requests_in_flight {in_flight}
"""

Fault = Callable[[str], str | None]
"""What a pod shows instead of what is true, None where it does not answer."""

FAULTS: dict[str, Fault] = {
    "no answer": lambda _: None,
    "nothing of it": lambda _: "# TYPE other gauge\nother 1\n",
    "an empty page": lambda _: "",
    "another page": lambda _: "<html>down for maintenance</html>",
    "NaN": lambda _: GOOD.format(count="NaN", in_flight="NaN"),
    "infinite": lambda _: GOOD.format(count="+Inf", in_flight="+Inf"),
    "negative": lambda _: GOOD.format(count=-5, in_flight=-5),
    "no number": lambda _: GOOD.format(count="many", in_flight="many"),
    "cut off": lambda text: text[: text.index("http_requests_total ")] + "http_requests_to",
}


class World:
    """Pods with a steady load, the store of their samples, and an autoscaler by Kubernetes' rules."""

    def __init__(self, source: SampleSource = PODS) -> None:
        self.second = 0.0
        self.signals = SampleStore(lambda: self.second, source)
        self.replicas = FEWEST
        self._load = {"hca-requests-per-second": 35.0, "hca-concurrency": 18.0}
        self.pods = ["a", "b", "c"]
        self.signals.follow(SHOP, self.pods)

    def play(
        self, until: float, *, fault: Fault | None = None, skew: timedelta = timedelta()
    ) -> Iterator[float | None]:
        """What the autoscaler reads of requests at each of its looks, None for nothing."""
        while self.second < until:
            self.second += 1
            if self.second % SCRAPE == 0:
                self._scrape(fault)
            if self.second % SYNC == 0:
                yield self._look(START + timedelta(seconds=self.second) + skew)

    def _scrape(self, fault: Fault | None) -> None:
        for pod in self.pods:
            count = math.floor(self._load["hca-requests-per-second"] * self.second / len(self.pods))
            true = GOOD.format(count=count, in_flight=self._load["hca-concurrency"] / len(self.pods))
            text = true if fault is None else fault(true)
            try:
                if text is None:
                    raise Unreadable("no answer")
                exposition = Exposition(())
                exposition.feed(text.encode())
                self.signals.add(SHOP, pod, exposition.result())
            except Unreadable as error:
                self.signals.fail(SHOP, pod, str(error))

    def _look(self, now: datetime) -> float | None:
        """The metric that wants the most pods wins; while one is missing, no pod is taken away."""
        wishes, reported, missing = [], None, False
        for metric, target in TARGETS.items():
            try:
                item = external_metric_value(metric, {API_LABEL: "shop"}, self.signals.read(*SHOP, metric, now))
            except HcaError:
                missing = True
                continue
            number = float(item["value"].removesuffix("m")) / 1000
            reported = number if metric == "hca-requests-per-second" else reported
            wishes.append(math.ceil(number / target))
        wanted = max(wishes, default=self.replicas)
        self.replicas = max(FEWEST, self.replicas if missing and wanted < self.replicas else wanted)
        return reported


@pytest.mark.parametrize("source", [PODS, ENVOYS], ids=["pods", "envoys"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_32_in_half_an_hour_without_a_true_word_no_pod_goes(fault: Fault, source: SampleSource) -> None:
    world = World(source)
    list(world.play(BEGIN))
    assert world.replicas == BEFORE
    reported = list(world.play(BEGIN + HALF_AN_HOUR, fault=fault))
    assert world.replicas == BEFORE
    assert set(reported[math.ceil((source.window_seconds + SCRAPE) / SYNC) :]) == {None}, (
        "known for the window, and then unknown"
    )
    assert 0 not in reported
    list(world.play(BEGIN + HALF_AN_HOUR + BEGIN))
    assert world.replicas == BEFORE, "and the load decides again"


def test_counts_that_stand_still_are_no_requests_and_what_is_under_way_keeps_the_pods() -> None:
    """A pod that shows an old page tells nothing wrong of each moment: that is why a second metric is worth having."""
    world = World()
    list(world.play(BEGIN))
    stale = GOOD.format(count=1000, in_flight=6)
    list(world.play(BEGIN + HALF_AN_HOUR, fault=lambda _: stale))
    assert world.replicas == BEFORE


@pytest.mark.parametrize("hours", [-24.0, -0.1, 0.1, 24.0])
def test_a_wall_clock_that_is_wrong_changes_no_number(hours: float) -> None:
    world = World()
    list(world.play(BEGIN))
    reported = set(world.play(BEGIN + HALF_AN_HOUR, skew=timedelta(hours=hours)))
    assert all(number == pytest.approx(35, abs=1) for number in reported)
    assert world.replicas == BEFORE


def test_while_the_pods_are_not_listed_any_more_what_is_gone_is_not_taken_for_idle() -> None:
    """The API server is away: pods that went are asked on, and the others tell for them only while they are half."""
    world = World()
    list(world.play(BEGIN))
    world.pods = ["a"]
    reported = list(world.play(BEGIN + HALF_AN_HOUR))
    assert set(reported[math.ceil((WINDOW_SECONDS + SCRAPE) / SYNC) :]) == {None}
    assert world.replicas == BEFORE
