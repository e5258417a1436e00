"""The metrics that the metrics server exposes about itself."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hca_operator.kube.faults import INTERNAL_ERRORS
from hca_operator.telemetry.process import observe_process
from hca_operator.telemetry.requests import RequestMetrics


class ServerMetrics:
    """Metrics of the answers, the registration and the certificate."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(INTERNAL_ERRORS)
        observe_process(self.registry)
        self.requests = RequestMetrics(self.registry)
        self._answers = Counter(
            "hca_external_metrics_answers_total", "Answers of the metrics API by HTTP status.", ["code"],
            registry=self.registry,
        )  # fmt: skip
        self._answer_seconds = Histogram(
            "hca_external_metrics_answer_seconds", "Duration of an answer, including the SubjectAccessReview.",
            registry=self.registry, buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10),
        )  # fmt: skip
        self._registered = Gauge(
            "hca_external_metrics_registered",
            "1 while the APIService names this server, 0 while it names another one or does not exist.",
            registry=self.registry,
        )
        self._certificate_ends = Gauge(
            "hca_external_metrics_certificate_end_timestamp_seconds", "Expiry of the serving certificate.",
            registry=self.registry,
        )  # fmt: skip

    def observe_answer(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(status).inc()
        self._answer_seconds.observe(seconds)

    def observe_registration(self, *, registered: bool) -> None:
        """Export whether the APIService names this server."""
        self._registered.set(registered)

    def observe_certificate(self, ends: datetime) -> None:
        """Export the expiry of the certificate."""
        self._certificate_ends.set(ends.timestamp())
