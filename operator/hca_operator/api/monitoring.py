"""The part of the object that says where the API's own metrics are."""

from hca_operator.api.schema import SpecModel
from hca_operator.api.types import Port, UrlPath


class Monitoring(SpecModel):
    """Where the pods offer their metrics in Prometheus' text format."""

    path: UrlPath = "/metrics"
    """Path of the metrics, which must be those of all workers of the pod."""
    port: Port | None = None
    """Port of the metrics. Absent: spec.port."""
