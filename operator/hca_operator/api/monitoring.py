"""`spec.monitoring`: the source of the metrics of an API."""

from typing import Literal

from hca_operator.api.schema import SpecModel
from hca_operator.api.types import Port, UrlPath


class Monitoring(SpecModel):
    """Source of the metrics of an API."""

    source: Literal["App", "Ingress"] = "App"
    """App: the pods report their own metrics, at path and port. Ingress: the ingress controller that serves \
traffic.routes counts the requests, so the app needs no metrics."""
    path: UrlPath = "/metrics"
    """Path of the metrics in the Prometheus text format. The answer must cover all workers of the pod."""
    port: Port | None = None
    """Port of the metrics. Default: spec.port."""
