"""A SampleStore with a clock that advances only when the test says so."""

from datetime import UTC, datetime

import pytest

from hca_operator.core.ports import Key
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.metrics_server.samples.sample_store import WINDOW_SECONDS, SampleStore

SHOP = Key("default", "shop")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE, CONCURRENCY, LAG, P50, P95 = (
    "hca-requests-per-second", "hca-concurrency", "hca-event-loop-lag", "hca-latency-p50", "hca-latency-p95",
)  # fmt: skip
METRICS = (RATE, CONCURRENCY, LAG, P50, P95)


class World:
    """SampleStore and a clock that advances only when the test says so."""

    def __init__(self, *pods: str, begins: bool = False) -> None:
        """`begins`: the object has not been followed for a while."""
        self.now = 1000.0
        self.signals = SampleStore(lambda: self.now)
        self.signals.follow(SHOP, pods)
        if not begins:
            self.now += WINDOW_SECONDS

    def reported(self, **samples: PodSample) -> None:
        """Add samples of pods, two seconds after the time before."""
        self.now += 2
        for pod, sample in samples.items():
            self.signals.add(SHOP, pod, sample)

    def requests(self, **counts: float) -> None:
        self.reported(**{pod: PodSample(requests=count) for pod, count in counts.items()})

    def read(self, metric: str) -> Reading:
        return self.signals.read(*SHOP, metric, NOW)

    def value(self, metric: str) -> float:
        return round(self.read(metric).value, 9)

    def unknown(self, metric: str) -> str:
        with pytest.raises(Unknown) as raised:
            self.read(metric)
        return str(raised.value)


def lately(world: World) -> float:
    return world.signals.read(*SHOP, RATE, NOW, window_seconds=5.0).value
