"""Which metrics an object has, and their source, read from a spec in which any field may be missing: pure."""

from collections.abc import Sequence
from typing import NamedTuple

from hca_operator.api.metric_types import METRIC_TYPE_BY_NAME, MetricType
from hca_operator.api.monitoring import Monitoring
from hca_operator.core.names import Manifest

SOURCE: str = Monitoring.model_fields["source"].default
"""Default of the schema."""


class ObjectMetric(NamedTuple):
    """An entry of `spec.autoscaling.metrics`."""

    type: MetricType
    entry: Manifest


def metrics_of(spec: Manifest) -> Sequence[ObjectMetric]:
    """The metrics of an object, without those of unknown types; empty if autoscaling.mode is Disabled."""
    scaling = spec.get("autoscaling") or {}
    if scaling.get("mode") == "Disabled":
        return []
    found = [(METRIC_TYPE_BY_NAME.get(entry.get("type")), entry) for entry in scaling.get("metrics") or []]
    return [ObjectMetric(type_, entry) for type_, entry in found if type_ is not None]


def source_of(spec: Manifest) -> str:
    """`monitoring.source`: where metrics with `from_pods` are measured, App or Ingress."""
    return (spec.get("monitoring") or {}).get("source") or SOURCE
