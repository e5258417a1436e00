"""The value of an object's metric, from the values of its pods: pure."""

import math
from collections.abc import Collection
from typing import Any

from hca_operator.api.metric_types import POD_METRICS, Aggregation, ExternalMetric, external_metric
from hca_operator.core.names import KIND
from hca_operator.metrics_server.samples.growth import Counts
from hca_operator.metrics_server.samples.reading import Unknown


def pod_metric(name: str) -> ExternalMetric:
    """The metric with that name in external.metrics.k8s.io. Raises Unknown for names that no metric of pods has."""
    found = external_metric(name)
    if found is None or not found.type.from_pods:
        raise Unknown(
            f"{name} is no metric of a {KIND}: ask for {', '.join(_EXTERNAL_NAMES[:-1])} or {_EXTERNAL_NAMES[-1]}"
        )
    return found


def aggregate(metric: ExternalMetric, values: Collection[Any], scale: float) -> float | None:
    """The value of an object; None if none follows from the values of its pods.

    `values`: of the pods whose values are known: numbers, or for a percentile Counts. `scale`: the number of all pods
    divided by the number of these.
    """
    if metric.percentile is not None:
        return percentile_of(metric.percentile, values)
    if metric.type.aggregation is Aggregation.MEAN:
        return math.fsum(values) / len(values)
    return math.fsum(values) * scale


def percentile_of(percentile: int, pods: Collection[Counts]) -> float | None:
    """Seconds within which that percentage of the requests was answered, as PromQL's histogram_quantile computes it.

    Without any request it is 0, so that an idle API can scale down: a HorizontalPodAutoscaler removes no pods while the
    value of a metric is unknown. It is also 0 while all requests hang, but only until the first one ends, and pods are
    removed only after minutes (autoscaling/v2's default stabilization window).

    If the pods have different buckets, only the bounds that all have are used. None if there is none.
    """
    served = [pod for pod in pods if pod[math.inf]]
    if not served:
        return 0.0
    counts = {bound: math.fsum(pod[bound] for pod in served) for bound in set[float].intersection(*map(set, served))}
    total = counts.pop(math.inf)
    rank = total * percentile / 100
    lower, below = 0.0, 0.0
    for upper, up_to in sorted(counts.items()):
        if up_to >= rank:
            return max(0.0, lower + (upper - lower) * (rank - below) / (up_to - below))
        lower, below = upper, max(below, up_to)
    return max(0.0, lower) if counts else None


_EXTERNAL_NAMES = [
    *(metric.external for metric in POD_METRICS if metric.aggregation is not Aggregation.PERCENTILE),
    *(f"{metric.external}-p1 to -p99" for metric in POD_METRICS if metric.aggregation is Aggregation.PERCENTILE),
]
