"""The part of the object that says where the API's own metrics are."""

from typing import Literal

from hca_operator.api.schema import Rule, SpecModel
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


MONITORING_RULES = (
    Rule(
        cel="self.monitoring.source == 'App' || (has(self.traffic.routes) && self.traffic.routes.size() > 0)",
        message="monitoring.source Ingress counts what traffic.routes bring in: add a route, or set "
        "monitoring.source: App",
        check=lambda spec: spec.monitoring.source == "App" or bool(spec.traffic.routes),
        field_path=".monitoring.source",
    ),
    Rule(
        cel="self.monitoring.source == 'App' || !has(self.autoscaling.metrics) || "
        "self.autoscaling.metrics.all(m, m.type != 'EventLoopLag')",
        message="monitoring.source Ingress knows nothing of the app's event loops: remove the metric of type "
        "EventLoopLag, or set monitoring.source: App",
        check=lambda spec: (
            spec.monitoring.source == "App" or all(m.type != "EventLoopLag" for m in spec.autoscaling.metrics)
        ),
        field_path=".monitoring.source",
    ),
)
"""For the whole spec: what the source asks of other parts of it."""
