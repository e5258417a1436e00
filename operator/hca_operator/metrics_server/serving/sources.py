"""Reads the metrics of each object from its source: the ingress or the pods."""

import math
from datetime import datetime

from hca_operator.api.metric_types import PROMETHEUS
from hca_operator.core.ports import Key
from hca_operator.metrics_server.ingress.reader import IngressReader
from hca_operator.metrics_server.samples.reading import Reading, Readings


class Sources:
    """Reads metrics from the ingress for objects with `monitoring.source: Ingress`, and all others from the pods."""

    def __init__(self, pods: Readings, ingress: IngressReader | None) -> None:
        """`pods`: readings by scraping or by Prometheus. `ingress`: None if this install reads none."""
        self._pods = pods
        self._ingress = ingress

    def read(
        self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = math.inf
    ) -> Reading:
        """The value of a metric of an object, over at most `window_seconds`. Raises Unknown if there is none."""
        readings: Readings = self._pods
        own_query = metric.startswith(PROMETHEUS.external)
        if not own_query and self._ingress is not None and self._ingress.counts_for(Key(namespace, api)):
            readings = self._ingress
        return readings.read(namespace, api, metric, now, window_seconds=window_seconds)
