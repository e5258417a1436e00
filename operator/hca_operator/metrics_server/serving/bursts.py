"""The load of all objects with bursts, for the operator: in one answer, from memory."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from hca_operator.core.errors import HcaError
from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.object_metrics import metrics_of
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.inventory.table import Table
from hca_operator.metrics_server.samples.reading import Reading
from hca_operator.metrics_server.serving.values import external_metric_value

BURST_WINDOW_SECONDS = 5.0
"""Time range of the load: two scrapes of each pod, even if one in between failed."""


class BurstLoads:
    """Keeps the objects with bursts, and reads their load."""

    def __init__(self, apis: SharedInformer, read: Callable[[str, str, str, datetime], Reading]) -> None:
        """`read` is `Readings.read` with the shortest window that its source supports."""
        self._read = read
        self._followed = Table(_burst_metrics, Key.of)
        apis.subscribe(self._followed, lambda _apis: None)

    def signals(self, now: datetime) -> Iterator[Manifest]:
        """The load of these objects, one metric at a time; a metric without a value is left out."""
        # A copy, since the table may change while the caller iterates.
        followed = [(key, metrics) for key in self._followed for metrics in self._followed.of(key)]
        for key, metrics in followed:
            for metric in metrics:
                try:
                    reading = self._read(key.namespace, key.name, metric, now)
                    value = external_metric_value(metric, {API_LABEL: key.name}, reading)
                except HcaError:
                    continue  # a request for this metric by the HorizontalPodAutoscaler gets the reason
                yield {"metadata": {"namespace": key.namespace, "name": key.name}, **value}


def _burst_metrics(api: Manifest) -> Sequence[str] | None:
    """External names of the metrics for the bursts of an object; None if it has none."""
    spec = api.get("spec") or {}
    burst = (spec.get("autoscaling") or {}).get("burst") or {}
    if burst.get("mode") != "Enabled":
        return None
    return [metric.type.external for metric in metrics_of(spec) if metric.type.is_total] or None
