"""The part of the object that says where the API's own metrics are."""

from typing import Literal

from hca_operator.api.schema import SpecModel
from hca_operator.api.types import Port, UrlPath


class Monitoring(SpecModel):
    """Where the autoscaler's numbers come from."""

    source: Literal["App", "Ingress"] = "App"
    """Who counts the requests. App: the pods themselves, at path and port. Ingress: the ingress controller that \
serves traffic.routes, so that the app needs no metrics of its own."""
    path: UrlPath = "/metrics"
    """Path of the pods' metrics in Prometheus' text format, which must be those of all workers of the pod."""
    port: Port | None = None
    """Port of the pods' metrics. Absent: spec.port."""
