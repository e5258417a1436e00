"""The load of each object that follows bursts, for the operator: all in one answer, from what is known.

A watch of its own, so that it is the same wherever the numbers come from.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from hca_operator.core.errors import HcaError
from hca_operator.core.names import API_LABEL, CONCURRENCY_METRIC, KIND, REQUESTS_METRIC, Manifest
from hca_operator.kube.watch import Source
from hca_operator.metrics_server.inventory.table_watch import TableWatch
from hca_operator.metrics_server.inventory.targets import Table, own_key
from hca_operator.metrics_server.samples.signals import Reading
from hca_operator.metrics_server.serving.server import value

LATELY = 5.0
"""Seconds over which the load is taken: two scrapes of each pod, and room for one that failed."""

_METRICS = {"RequestsPerSecond": REQUESTS_METRIC, "Concurrency": CONCURRENCY_METRIC}


class BurstLoads:
    """Knows which objects follow bursts, and tells their load."""

    def __init__(self, source: Source, read: Callable[[str, str, str, datetime], Reading]) -> None:
        """`read` is that of Readings, over a time as short as the source of the numbers can."""
        self._read = read
        self._followed = Table(_followed, own_key)
        self._watch = TableWatch(source, KIND, "", self._followed, lambda _: None)

    async def run(self, waits: Iterable[float]) -> None:
        """Know for ever; `waits` are the seconds between tries of the watch while they fail."""
        await self._watch.run(waits)

    def signals(self, now: datetime) -> Iterator[Manifest]:
        """What is known of them, one by one; what is not known is left out."""
        # Which may change before the next one is asked for.
        followed = [(key, metrics) for key in self._followed for metrics in self._followed.of(key)]
        for key, metrics in followed:
            for metric in metrics:
                try:
                    told = value(metric, {API_LABEL: key.name}, self._read(key.namespace, key.name, metric, now))
                except HcaError:
                    continue  # whoever asks for this metric alone is told why
                yield {"metadata": {"namespace": key.namespace, "name": key.name}, **told}


def _followed(api: Manifest) -> Sequence[str] | None:
    """The metrics by which an object follows bursts, None where it does not."""
    scaling = (api.get("spec") or {}).get("autoscaling") or {}
    if scaling.get("mode") == "Disabled" or (scaling.get("burst") or {}).get("mode") != "Enabled":
        return None
    found = [_METRICS[type_] for metric in scaling.get("metrics") or [] if (type_ := metric.get("type")) in _METRICS]
    return found or None
