from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.restarts.memory_trend import Trend


def told(ready: str) -> dict[str, object]:
    return {"conditions": [{"type": "Ready", "status": ready}, {"type": "Available", "status": "True"}]}


def test_objects_are_counted_by_what_their_conditions_are_now() -> None:
    metrics = OperatorMetrics()

    def counted(kind: str, status: str) -> float:
        return metrics.registry.get_sample_value("hca_conditions", {"type": kind, "status": status}) or 0

    metrics.observe_conditions("shop", told("False"))
    metrics.observe_conditions("cart", told("False"))
    assert (counted("Ready", "False"), counted("Available", "True")) == (2, 2)
    metrics.observe_conditions("shop", told("True"))
    metrics.observe_conditions("shop", told("True"))
    assert (counted("Ready", "False"), counted("Ready", "True")) == (1, 1)
    metrics.observe_conditions("cart", None)
    metrics.observe_conditions("never-seen", None)
    assert (counted("Ready", "False"), counted("Ready", "True"), counted("Available", "True")) == (0, 1, 1)


def test_restarts_on_memory_are_counted_and_the_last_one_of_an_api_is_told_while_it_exists() -> None:
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


def test_trends_are_told_of_the_apis_that_there_are() -> None:
    metrics = OperatorMetrics()
    metrics.observe_trends({("default", "shop"): Trend(1.5, 60.0), ("default", "cart"): Trend(0.0, None)})

    def told(metric: str, name: str) -> float | None:
        return metrics.registry.get_sample_value(metric, {"namespace": "default", "name": name})

    assert told("hca_memory_growth_bytes_per_second", "cart") == 0
    assert told("hca_memory_seconds_to_limit", "cart") is None
    assert told("hca_memory_seconds_to_limit", "shop") == 60
    metrics.observe_trends({("default", "shop"): Trend(-2.5, None)})
    assert told("hca_memory_growth_bytes_per_second", "shop") == -2.5
    assert told("hca_memory_growth_bytes_per_second", "cart") is None
    assert told("hca_memory_seconds_to_limit", "shop") is None, "what no longer grows has no end in sight"
