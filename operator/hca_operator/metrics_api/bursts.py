"""The load of each object that follows bursts, for the operator: all in one answer, from what is known.

A watch of its own, so that it is the same wherever the numbers come from.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from hca_operator.errors import HcaError
from hca_operator.metrics_api.server import value
from hca_operator.metrics_api.signals import Reading
from hca_operator.metrics_api.targets import own_key
from hca_operator.names import API_LABEL, CONCURRENCY_METRIC, KIND, REQUESTS_METRIC, Manifest
from hca_operator.ports import Key
from hca_operator.watches import Source, Watch

LATELY = 5.0
"""Seconds over which the load is taken: two scrapes of each pod, and room for one that failed."""

_METRICS = {"RequestsPerSecond": REQUESTS_METRIC, "Concurrency": CONCURRENCY_METRIC}


class BurstLoads(Watch):
    """Knows which objects follow bursts, and tells their load."""

    def __init__(self, source: Source, read: Callable[[str, str, str, datetime], Reading]) -> None:
        """`read` is that of Readings, over a time as short as the source of the numbers can."""
        super().__init__(source, KIND, "")
        self._read = read
        self._followed: dict[Key, Sequence[str]] = {}

    def signals(self, now: datetime) -> Iterator[Manifest]:
        """What is known of them, one by one; what is not known is left out."""
        for key, metrics in list(self._followed.items()):  # which may change before the next one is asked for
            for metric in metrics:
                try:
                    told = value(metric, {API_LABEL: key.name}, self._read(key.namespace, key.name, metric, now))
                except HcaError:
                    continue  # whoever asks for this metric alone is told why
                yield {"metadata": {"namespace": key.namespace, "name": key.name}, **told}

    def _concerns(self, manifest: Manifest) -> bool:
        return bool(_followed(manifest))

    def _listed(self, manifests: Sequence[Manifest], _version: int) -> None:
        self._followed = {own_key(manifest): _followed(manifest) for manifest in manifests}

    def _happened(self, type_: str, manifest: Manifest) -> None:
        self._followed.pop(own_key(manifest), None)
        if type_ != "DELETED" and (metrics := _followed(manifest)):
            self._followed[own_key(manifest)] = metrics


def _followed(api: Manifest) -> Sequence[str]:
    """The metrics by which an object follows bursts, none where it does not."""
    scaling = (api.get("spec") or {}).get("autoscaling") or {}
    if scaling.get("mode") == "Disabled" or (scaling.get("burst") or {}).get("mode") != "Enabled":
        return ()
    return [_METRICS[type_] for metric in scaling.get("metrics") or [] if (type_ := metric.get("type")) in _METRICS]
