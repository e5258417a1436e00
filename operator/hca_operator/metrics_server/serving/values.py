"""Readings in the form of external.metrics.k8s.io."""

import math

from hca_operator.core.errors import HcaError
from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.timestamps import time_text
from hca_operator.metrics_server.samples.reading import Reading

LARGEST_VALUE = 1e15
"""More than any API serves; in thousandths it still fits into the int64 of a Kubernetes quantity."""


def external_metric_value(metric: str, labels: dict[str, str], reading: Reading) -> Manifest:
    """An ExternalMetricValue. Raises HcaError for a number that a HorizontalPodAutoscaler cannot use."""
    if not 0 <= reading.value < LARGEST_VALUE:  # which NaN is not either
        raise HcaError(
            f"{metric} of {labels[API_LABEL]} is {reading.value}: it must be a number from 0 to {LARGEST_VALUE:.0e}"
        )
    return {
        "metricName": metric,
        "metricLabels": labels,
        "timestamp": time_text(reading.at),
        **({"window": math.ceil(reading.window)} if reading.window else {}),
        # Rounded up, so that a small load never becomes 0; the rounding error of the multiplication is cut off first.
        "value": f"{math.ceil(round(reading.value * 1000, 6))}m",
    }
