"""Which metrics of an object work in this install: pure.

All metrics except CPU and memory reach the HorizontalPodAutoscaler through external.metrics.k8s.io, which only one
server per cluster can serve.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hca_operator.api.metrics import EXTERNAL, TOTALS, Metric, Utilization
from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Unsupported
from hca_operator.core.names import Manifest

REGISTRATION = "v1beta1.external.metrics.k8s.io"
"""The APIService that names the Service which serves external.metrics.k8s.io."""
OFF = (
    "the external metrics API of this install is off: ask the platform team to set the operator's chart value "
    "externalMetrics.enabled to true, unless another server of the cluster, such as KEDA, serves this API"
)
ONE_NAMESPACE = (
    "an operator for one namespace cannot serve the external metrics API: ask the platform team to install it with "
    "the chart value scope: Cluster"
)
NO_INGRESS = (
    "monitoring.source is Ingress, but this install reads no ingress: ask the platform team to set the operator's "
    "chart value externalMetrics.ingress, or set monitoring.source: App"
)
NO_QUERIES = (
    "this install sends no queries of objects to Prometheus: ask the platform team to set the operator's chart values "
    "prometheus.url and prometheus.customQueries"
)
DEFAULT_METRIC = Metric(name="cpu", type="CPU", cpu=Utilization())
"""The only metric of an object none of whose metrics works in this install."""


class ServiceName(NamedTuple):
    """The Service that serves an API of Kubernetes."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ExternalMetrics:
    """The metrics beside CPU and memory that this install serves. The defaults are those of the chart."""

    def __init__(self, missing: str | None = None, *, reads_ingress: bool = False, queries: bool = False) -> None:
        """`reads_ingress`: metrics that the ingress counts are served, too; `queries`: so are Prometheus queries."""
        self.missing = missing
        """Why the external metrics API is not served, and what to do about it; None if it is served."""
        self._reads_ingress = reads_ingress
        self._queries = queries

    def supported(self, api: ApiObject) -> ApiObject:
        """The object with only those metrics that work in this install."""
        left_out, scaling = self._left_out(api), api.spec.autoscaling
        if not left_out:
            return api
        kept = [metric for metric in scaling.metrics if metric not in left_out] or [DEFAULT_METRIC]
        autoscaling = scaling.model_copy(update={"metrics": kept})
        return api.model_copy(update={"spec": api.spec.model_copy(update={"autoscaling": autoscaling})})

    def unsupported(self, api: ApiObject) -> Sequence[Unsupported]:
        """Entries of status.unsupported: metrics that do not work in this install, and bursts without their metrics."""
        return [*self._unsupported_metrics(api), *self._unsupported_burst(api)]

    def _unsupported_metrics(self, api: ApiObject) -> Sequence[Unsupported]:
        left_out = self._left_out(api)
        others = len(left_out) < len(api.spec.autoscaling.metrics)
        instead = "the other metrics are used" if others else "CPU at 70 % is used"
        return [
            Unsupported(
                field=f"spec.autoscaling.metrics[{metric.name}]",
                reason=f"{metric.type} is left out and {instead}: {self._obstacle(api, metric)}",
            )
            for metric in left_out
        ]

    def _unsupported_burst(self, api: ApiObject) -> Sequence[Unsupported]:
        scaling = api.spec.autoscaling
        if scaling.burst.mode == "Disabled" or scaling.mode == "Disabled":
            return ()
        obstacles = [self._obstacle(api, metric) for metric in scaling.metrics if metric.type in TOTALS]
        if not all(obstacles):
            return ()
        return [Unsupported(field="spec.autoscaling.burst", reason=f"bursts add no pods: {obstacles[0]}")]

    def _left_out(self, api: ApiObject) -> list[Metric]:
        scaling = api.spec.autoscaling
        if scaling.mode == "Disabled":
            return []
        return [metric for metric in scaling.metrics if self._obstacle(api, metric)]

    def _obstacle(self, api: ApiObject, metric: Metric) -> str | None:
        """Why a metric of an object does not work in this install; None if it works."""
        if metric.type not in EXTERNAL:
            return None
        if self.missing:
            return self.missing
        if metric.prometheus:
            return None if self._queries else NO_QUERIES
        return NO_INGRESS if api.spec.monitoring.source == "Ingress" and not self._reads_ingress else None


def server_of(registration: Manifest) -> ServiceName | None:
    """The Service of an APIService; None if it has none, so that kube-apiserver itself serves the API."""
    service = registration["spec"].get("service")
    return None if service is None else ServiceName(service["namespace"], service["name"])


def taken_by_another(registration: Manifest | None, ours: ServiceName) -> str | None:
    """Why this install cannot serve external.metrics.k8s.io; None if it can. A passing outage is no reason."""
    if registration is None:
        return None
    owner = server_of(registration)
    if owner is None:
        return f"the API server itself serves the external metrics API: {_remove('that server')}"
    if owner == ours:
        return None
    return f"Service {owner} serves the external metrics API, of which a cluster can have only one: {_remove('it')}"


def _remove(server: str) -> str:
    return f"ask the platform team to remove {server} (kubectl get apiservice {REGISTRATION}), or scale on CPU"
