import pytest
from prometheus_client import CollectorRegistry, generate_latest

from hca_operator import __version__
from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics
from hca_operator.restarts.memory_trend import Trend


def reported(ready: str) -> dict[str, object]:
    return {"conditions": [{"type": "Ready", "status": ready}, {"type": "Available", "status": "True"}]}


SHOP, CART = ("default", "shop"), ("default", "cart")


def test_each_object_has_its_conditions_as_they_are_now() -> None:
    metrics = OperatorMetrics()

    def ready(name: str, status: str) -> float | None:
        labels = {"namespace": "default", "name": name, "type": "Ready", "status": status}
        return metrics.registry.get_sample_value("hca_conditions", labels)

    metrics.observe_conditions(SHOP, reported("False"))
    metrics.observe_conditions(CART, reported("False"))
    assert (ready("shop", "False"), ready("cart", "False")) == (1, 1)
    metrics.observe_conditions(SHOP, reported("True"))
    metrics.observe_conditions(SHOP, reported("True"))
    assert (ready("shop", "False"), ready("shop", "True")) == (None, 1)
    metrics.observe_conditions(CART, None)
    metrics.observe_conditions(("default", "never-seen"), None)
    assert (ready("cart", "False"), ready("shop", "True")) == (None, 1)


def test_a_replica_that_no_longer_leads_says_nothing_of_the_objects() -> None:
    metrics, leads = OperatorMetrics(), [True]
    metrics.watch_leader(lambda: leads[0])
    metrics.observe_conditions(SHOP, reported("False"))
    labels_of_it = {"namespace": "default", "name": "shop", "type": "Ready", "status": "False"}
    assert metrics.registry.get_sample_value("hca_leader") == 1
    assert metrics.registry.get_sample_value("hca_conditions", labels_of_it) == 1
    leads[0] = False
    assert metrics.registry.get_sample_value("hca_leader") == 0
    assert metrics.registry.get_sample_value("hca_conditions", labels_of_it) is None


def test_what_only_grows_is_a_counter_by_name_and_type() -> None:
    metrics = OperatorMetrics()
    metrics.watch_queue(lambda: 1, lambda: 7, lambda: 3)
    text = generate_latest(metrics.registry).decode()
    assert "# TYPE hca_queue_adds_total counter\nhca_queue_adds_total 7.0\n" in text
    assert "# TYPE hca_queue_retries_total counter\nhca_queue_retries_total 3.0\n" in text
    assert "# TYPE hca_queue_depth gauge\nhca_queue_depth 1.0\n" in text


@pytest.mark.parametrize(
    "registry", [OperatorMetrics().registry, ServerMetrics().registry], ids=["operator", "metrics"]
)
def test_each_process_exports_its_release_and_what_it_uses(registry: CollectorRegistry) -> None:
    assert registry.get_sample_value("hca_build_info", {"version": __version__}) == 1
    resident = registry.get_sample_value("process_resident_memory_bytes")
    assert resident is not None
    assert resident > 0


def test_restarts_on_memory_are_counted_and_the_last_one_of_an_api_is_reported_while_it_exists() -> None:
    metrics = OperatorMetrics()
    shop = {"namespace": "default", "name": "shop"}

    def value(metric: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(metric, labels)

    status = {"memoryRestarts": {"lastTime": "2026-01-02T03:04:05Z"}}
    metrics.observe_memory_restarts(("default", "shop"), status, {"OOMKilled": 2})
    metrics.observe_memory_restarts(("default", "shop"), status, {"PodReplaced": 1})
    metrics.observe_memory_restarts(("default", "cart"), {}, {})
    assert value("hca_memory_restarts_total", reason="OOMKilled") == 2
    assert value("hca_memory_restarts_total", reason="PodReplaced") == 1
    assert value("hca_memory_last_restart_timestamp_seconds", **shop) == 1767323045
    metrics.observe_memory_restarts(("default", "shop"), None, {})
    assert value("hca_memory_last_restart_timestamp_seconds", **shop) is None


def test_trends_are_exported_for_the_apis_that_exist() -> None:
    metrics = OperatorMetrics()
    metrics.observe_trends({("default", "shop"): Trend(1.5, 60.0), ("default", "cart"): Trend(0.0, None)})

    def reported(metric: str, name: str) -> float | None:
        return metrics.registry.get_sample_value(metric, {"namespace": "default", "name": name})

    assert reported("hca_memory_growth_bytes_per_second", "cart") == 0
    assert reported("hca_memory_seconds_to_limit", "cart") is None
    assert reported("hca_memory_seconds_to_limit", "shop") == 60
    metrics.observe_trends({("default", "shop"): Trend(-2.5, None)})
    assert reported("hca_memory_growth_bytes_per_second", "shop") == -2.5
    assert reported("hca_memory_growth_bytes_per_second", "cart") is None
    assert reported("hca_memory_seconds_to_limit", "shop") is None, "what no longer grows has no end in sight"
