"""What an autoscaler is made of where the external metrics API is missing or served by another server."""

import asyncio
from typing import Any

import pytest

from hca_operator.controller.capability_poller import (
    CAPABILITY_POLL_SECONDS,
    CAPABILITY_RETRY_SECONDS,
    CapabilityPoller,
)
from hca_operator.core.errors import Forbidden, HcaError, Transient
from hca_operator.core.names import METRIC_LABEL, Manifest
from hca_operator.core.observed import condition
from hca_operator.scaling.capabilities import NO_QUERIES, OFF, ExternalMetrics, ServiceName, taken_by_another
from tests.unit.operator import virtual_time
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import api_object, manifest
from tests.unit.operator.reconcile.passes import API, AUTOSCALER, reconciler, settle

CPU = {"name": "cpu", "type": "CPU", "cpu": {"targetUtilizationPercent": 55}}
RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
LATENCY = {"name": "p95", "type": "Latency", "latency": {"target": "250ms"}}
QUEUE = {"name": "queue", "type": "Prometheus", "prometheus": {"query": "sum(q)", "targetPerPod": "100"}}
JOBS = {"name": "jobs", "type": "Prometheus", "prometheus": {"query": "sum(j)", "targetPerPod": 5}}
OURS = ServiceName("hca", "hca-operator-metrics")


def registration(namespace: str, name: str) -> Manifest:
    """The APIService of a server, which is down: that is nothing to go by."""
    down = {"type": "Available", "status": "False", "reason": "MissingEndpoints"}
    return {"spec": {"service": {"namespace": namespace, "name": name}}, "status": {"conditions": [down]}}


async def autoscaler(external: ExternalMetrics, *metrics: Manifest, **spec: Any) -> tuple[list[str], Manifest]:
    """What the autoscaler is made of, and the status beside it."""
    cluster = FakeCluster()
    cluster.put(manifest(autoscaling={"metrics": list(metrics)}, **spec))
    await settle(cluster, reconciler(cluster, external=external))
    shown = cluster.objects[AUTOSCALER]["spec"]["metrics"]
    return [_shown(metric) for metric in shown], cluster.objects[API]["status"]


def _shown(metric: Manifest) -> str:
    if metric["type"] == "External":
        asked, target = metric["external"]["metric"], metric["external"]["target"]
        name = asked["selector"]["matchLabels"].get(METRIC_LABEL)
        return f"{asked['name']} {name} {target['averageValue']}" if name else str(asked["name"])
    resource = metric["containerResource"]
    return f"{resource['name']} {resource['target']['averageUtilization']}"


async def test_with_the_api_everything_is_carried_out() -> None:
    made, status = await autoscaler(ExternalMetrics(), CPU, RATE, LATENCY)
    assert made == ["cpu 55", "hca-requests-per-second", "hca-latency-p95"]
    assert "unsupported" not in status


async def test_without_it_the_other_metrics_decide_and_each_that_is_left_out_is_named() -> None:
    made, status = await autoscaler(ExternalMetrics(OFF), RATE, CPU, LATENCY)
    assert made == ["cpu 55"]
    assert status["unsupported"] == [
        {
            "field": f"spec.autoscaling.metrics[{name}]",
            "reason": f"{kind} is left out and the other metrics are used: the external metrics API of this install is "
            "off: ask the platform team to set the operator's chart value externalMetrics.enabled to true, "
            "unless another server of the cluster, such as KEDA, serves this API",
        }
        for name, kind in (("rps", "RequestsPerSecond"), ("p95", "Latency"))
    ]


async def test_queries_are_asked_where_the_install_allows_them_each_under_its_name() -> None:
    made, status = await autoscaler(ExternalMetrics(queries=True), QUEUE, JOBS)
    assert made == ["hca-prometheus queue 100", "hca-prometheus jobs 5"]
    assert "unsupported" not in status


async def test_where_it_does_not_they_alone_are_left_out_and_named() -> None:
    made, status = await autoscaler(ExternalMetrics(), RATE, QUEUE)
    assert made == ["hca-requests-per-second"]
    (left_out,) = status["unsupported"]
    assert left_out["field"] == "spec.autoscaling.metrics[queue]"
    assert left_out["reason"] == f"Prometheus is left out and the other metrics are used: {NO_QUERIES}"


@pytest.mark.parametrize("query", ["sum(q", "x offset 1e400", "sum_over_time(x[9999999y])", "x+" * 250 + "x"])
async def test_fault_39_a_query_that_cannot_be_asked_is_reported_on_the_object(query: str) -> None:
    broken = {**QUEUE, "prometheus": {"query": query, "targetPerPod": 1}}
    cluster = FakeCluster()
    cluster.put(manifest(autoscaling={"metrics": [broken]}))
    await settle(cluster, reconciler(cluster, external=ExternalMetrics(queries=True)))
    ready = condition(cluster.objects[API], "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert "spec.autoscaling.metrics[queue].prometheus.query: must" in ready["message"]


async def test_with_nothing_left_cpu_decides() -> None:
    made, status = await autoscaler(ExternalMetrics(OFF), LATENCY)
    assert made == ["cpu 70"]
    assert status["unsupported"][0]["reason"].startswith("Latency is left out and CPU at 70 % is used: ")


INGRESS = {"monitoring": {"source": "Ingress"}, "traffic": {"routes": [{"host": "shop.example.com"}]}}


async def test_metrics_of_the_ingress_are_requested_like_those_of_the_pods() -> None:
    made, status = await autoscaler(ExternalMetrics(reads_ingress=True), CPU, RATE, LATENCY, **INGRESS)
    assert made == ["cpu 55", "hca-requests-per-second", "hca-latency-p95"]
    assert "unsupported" not in status


async def test_where_no_ingress_is_read_only_objects_that_need_one_do_without() -> None:
    assert (await autoscaler(ExternalMetrics(), CPU, RATE))[0] == ["cpu 55", "hca-requests-per-second"]
    made, status = await autoscaler(ExternalMetrics(), RATE, CPU, **INGRESS)
    assert made == ["cpu 55"]
    assert status["unsupported"] == [
        {
            "field": "spec.autoscaling.metrics[rps]",
            "reason": "RequestsPerSecond is left out and the other metrics are used: monitoring.source is Ingress, but "
            "this install reads no ingress: ask the platform team to set the operator's chart value "
            "externalMetrics.ingress, or set monitoring.source: App",
        }
    ]


async def test_without_the_api_that_is_what_is_reported_whatever_the_source() -> None:
    _, status = await autoscaler(ExternalMetrics(OFF), RATE, **INGRESS)
    assert OFF in status["unsupported"][0]["reason"]


def test_without_an_autoscaler_there_is_nothing_to_leave_out() -> None:
    api = api_object(autoscaling={"mode": "Disabled", "metrics": [RATE]})
    assert ExternalMetrics(OFF).unsupported(api) == []
    assert ExternalMetrics(OFF).supported(api) is api


@pytest.mark.parametrize("found", [None, registration(*OURS)])
def test_an_api_that_is_ours_or_unowned_is_never_taken_for_that_of_another_server(found: Manifest | None) -> None:
    assert taken_by_another(found, OURS) is None


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (
            registration("keda", "keda-operator-metrics-apiserver"),
            "Service keda/keda-operator-metrics-apiserver serves",
        ),
        (registration("other", OURS.name), "Service other/hca-operator-metrics serves"),
        ({"spec": {}}, "the API server itself serves"),
    ],
)
def test_another_server_is_named_with_what_to_do(found: Manifest, owner: str) -> None:
    said = taken_by_another(found, OURS)
    assert said is not None
    assert said.startswith(f"{owner} the external metrics API")
    assert "(kubectl get apiservice v1beta1.external.metrics.k8s.io), or scale on CPU" in said


class Answers:
    """An API server that gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: Manifest | HcaError | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        assert (kind, namespace, name) == ("APIService", "", "v1beta1.external.metrics.k8s.io")
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, HcaError):
            raise answer
        return answer


KEDA = registration("keda", "keda-operator-metrics-apiserver")


def reported(*answers: Any) -> list[tuple[float, bool]]:
    """At which second all objects were to be looked at for another answer, and whether the API was ours then."""
    found: list[tuple[float, bool]] = []

    async def main() -> None:
        loop, external = asyncio.get_running_loop(), ExternalMetrics()
        reader = CapabilityPoller(Answers(*answers), external, OURS)
        reading = reader.run(all_changed=lambda: found.append((loop.time(), external.missing is None)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reading, 10 * CAPABILITY_POLL_SECONDS)
        assert reader.synced.is_set()

    virtual_time.run(main())
    return found


def test_every_other_answer_is_reported_and_the_same_one_is_not() -> None:
    ours = registration(*OURS)
    assert reported(ours, KEDA, KEDA, None, ours) == [
        (CAPABILITY_POLL_SECONDS, False),
        (3 * CAPABILITY_POLL_SECONDS, True),
    ]


def test_the_first_answer_is_no_change() -> None:
    assert reported(KEDA) == []


def test_an_api_server_that_does_not_answer_changes_nothing() -> None:
    assert reported(KEDA, Transient("timeout"), Transient("timeout"), KEDA) == []
    assert reported(Transient("timeout"), KEDA, None) == [(CAPABILITY_RETRY_SECONDS + CAPABILITY_POLL_SECONDS, True)], (
        "asked soon, until it is known"
    )


def test_where_it_may_not_be_asked_the_api_is_taken_for_ours() -> None:
    assert reported(Forbidden("apiservices is forbidden: cannot get")) == []
