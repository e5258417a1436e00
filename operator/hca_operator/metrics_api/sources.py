"""Who is asked for the numbers of an object: whoever counts its requests."""

from datetime import datetime

from hca_operator.metrics_api.ingress import IngressReader
from hca_operator.metrics_api.server import Readings
from hca_operator.metrics_api.signals import Reading
from hca_operator.ports import Key


class Sources:
    """The readings of all objects."""

    def __init__(self, pods: Readings, ingress: IngressReader | None) -> None:
        """`pods`: what is known of the pods themselves; `ingress`: None where this install reads none."""
        self._pods = pods
        self._ingress = ingress

    def read(self, namespace: str, api: str, metric: str, now: datetime) -> Reading:
        """A metric of an API. Raises HcaError with a sentence that says why it is not known."""
        if self._ingress is not None and self._ingress.counts_for(Key(namespace, api)):
            return self._ingress.read(namespace, api, metric, now)
        return self._pods.read(namespace, api, metric, now)
