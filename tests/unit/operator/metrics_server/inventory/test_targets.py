"""Whose metrics are read, and where."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.metrics import FROM_PODS
from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.table import Table
from hca_operator.metrics_server.inventory.targets import (
    Endpoint,
    Pod,
    api_of_pod,
    cluster_of,
    endpoint_of,
    ready_pod,
    stripped_api,
)
from hca_operator.metrics_server.prometheus.demand import demand_of
from tests.unit.operator.objects import manifest

RPS = {"metrics": [{"name": "cpu", "type": "CPU"}, {"name": "rps", "type": "RequestsPerSecond"}]}


def pod(name: str = "shop-1", *, api: str = "shop", ready: str = "True", **status: Any) -> Manifest:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": {API_LABEL: api}}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    return {"metadata": metadata, "status": {"podIP": "10.0.0.7", "conditions": conditions, **status}}


def test_an_object_says_where_its_metrics_are_and_what_is_no_load() -> None:
    said = manifest(
        autoscaling=RPS, port=9000, monitoring={"path": "/stats", "port": 9100}, health={"readinessPath": "/up"}
    )
    assert endpoint_of(said) == Endpoint(9100, "/stats", frozenset({"/stats", "/up"}))
    said["spec"]["monitoring"] = {"path": "/stats", "port": None}
    assert endpoint_of(said) == Endpoint(9000, "/stats", frozenset({"/stats", "/up"}))


def test_an_object_that_says_nothing_has_the_defaults_of_the_definition() -> None:
    assert endpoint_of(manifest(autoscaling=RPS)) == Endpoint(8000, "/metrics", frozenset({"/metrics", "/health"}))


@pytest.mark.parametrize("kind", sorted(FROM_PODS))
def test_the_pods_of_an_object_with_one_such_metric_are_asked(kind: str) -> None:
    assert endpoint_of(manifest(autoscaling={"metrics": [{"name": "it", "type": kind}]})) is not None


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"autoscaling": None},
        {"autoscaling": {"metrics": [{"name": "cpu", "type": "CPU"}, {"name": "memory", "type": "Memory"}]}},
        {"autoscaling": {**RPS, "mode": "Disabled"}},
        {"autoscaling": RPS, "monitoring": {"source": "Ingress"}},
        {"autoscaling": RPS, "monitoring": {"path": "@elsewhere/metrics"}},
        {"autoscaling": RPS, "monitoring": {"path": "/metrics HTTP/1.1\r\nHost: elsewhere"}},
    ],
)
def test_the_pods_of_other_objects_are_left_alone(spec: dict[str, Any]) -> None:
    assert endpoint_of(manifest(**spec)) is None


def test_the_ingress_is_asked_for_the_service_of_an_object_that_says_so() -> None:
    ingress: dict[str, Any] = {"autoscaling": RPS, "monitoring": {"source": "Ingress"}}
    assert cluster_of(manifest(**ingress)) == "default_shop_80"
    assert cluster_of(manifest(**ingress, service={"port": 8080})) == "default_shop_8080"
    others: list[dict[str, Any]] = [{}, {"autoscaling": RPS}, {**ingress, "autoscaling": {**RPS, "mode": "Disabled"}}]
    for other in others:
        assert cluster_of(manifest(**other)) is None


def test_a_pod_that_is_ready_is_asked_at_its_own_address() -> None:
    assert ready_pod(pod()) == Pod("uid-shop-1", "shop-1", "10.0.0.7")
    assert api_of_pod(pod()) == Key("default", "shop")


def test_a_pod_that_does_not_serve_is_not_asked() -> None:
    going = pod()
    going["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"
    new = pod()
    del new["status"]
    for each in (going, new, pod(ready="False"), pod(ready="Unknown"), pod(podIP=""), pod(conditions=None)):
        assert ready_pod(each) is None


def test_a_pod_whose_label_was_changed_concerns_both_objects() -> None:
    table = Table(ready_pod, api_of_pod)
    shop, cart = Key("default", "shop"), Key("default", "cart")
    assert table.put(pod()) == {shop}
    assert table.put(pod()) == set(), "most of what changes in a pod is of no concern"
    assert table.put(pod(api="cart")) == {shop, cart}
    assert (list(table.of(shop)), list(table.of(cart)), list(table)) == ([], [ready_pod(pod())], [cart])
    assert table.put(pod(api="cart", ready="False")) == {cart}
    assert table.remove(Key.of(pod())) == set()


NAMES = st.sampled_from(["a", "b", "c"])
PODS = st.builds(lambda name, api, ready: pod(name, api=api, ready=ready), NAMES, NAMES, st.sampled_from(["True", ""]))


@given(changes=st.lists(PODS | NAMES, max_size=20), listed=st.lists(PODS, unique_by=Key.of))
def test_after_a_list_a_table_is_as_if_it_had_never_known_anything_else(
    changes: list[Manifest | str], listed: list[Manifest]
) -> None:
    table, fresh = Table(ready_pod, api_of_pod), Table(ready_pod, api_of_pod)
    for change in changes:
        _ = table.remove(Key("default", change)) if isinstance(change, str) else table.put(change)
    before = {api: set(table.of(api)) for api in table}
    concerned = table.replace(listed)
    fresh.replace(listed)
    after = {api: set(table.of(api)) for api in table}
    assert after == {api: set(fresh.of(api)) for api in fresh}
    assert {api for api in before.keys() | after.keys() if before.get(api) != after.get(api)} <= concerned


def test_what_is_kept_of_an_object_until_a_list_ends_says_the_same_as_all_of_it() -> None:
    scaling = {**RPS, "burst": {"mode": "Enabled"}}
    fields: dict[str, Any] = {
        "autoscaling": scaling,
        "port": 9000,
        "health": {"readinessPath": "/up"},
        "service": {"port": 8080},
    }
    for source in ("App", "Ingress"):
        said = manifest(
            **fields, monitoring={"path": "/stats", "source": source}, env=[{"name": "A", "value": "x" * 9999}]
        )
        said["metadata"]["annotations"] = {"note": "x" * 9999}
        kept = stripped_api(said)
        assert (endpoint_of(kept), cluster_of(kept), demand_of(kept)) == (
            endpoint_of(said), cluster_of(said), demand_of(said)
        )  # fmt: skip
        assert len(str(kept)) < 1000
