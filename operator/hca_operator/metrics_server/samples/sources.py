"""Who is asked for the numbers of an object: whoever counts its requests."""

import math
from datetime import datetime
from typing import Protocol

from hca_operator.core.names import QUERY_METRIC
from hca_operator.core.ports import Key
from hca_operator.metrics_server.ingress.reader import IngressReader
from hca_operator.metrics_server.samples.signals import Reading


class PodReadings(Protocol):
    """What is known of the pods themselves."""

    def read(self, namespace: str, api: str, metric: str, now: datetime, *, window: float = math.inf) -> Reading:
        """A metric of an API, over so many seconds at most. Raises HcaError with a sentence why it is not known."""


class Sources:
    """The readings of all objects."""

    def __init__(self, pods: PodReadings, ingress: IngressReader | None) -> None:
        """`ingress`: None where this install reads none."""
        self._pods = pods
        self._ingress = ingress

    def read(self, namespace: str, api: str, metric: str, now: datetime, *, window: float = math.inf) -> Reading:
        """A metric of an API, over so many seconds at most. Raises HcaError with a sentence why it is not known."""
        own = metric.startswith(QUERY_METRIC)
        if not own and self._ingress is not None and self._ingress.counts_for(Key(namespace, api)):
            return self._ingress.read(namespace, api, metric, now, window=window)
        return self._pods.read(namespace, api, metric, now, window=window)
