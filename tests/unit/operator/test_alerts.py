"""The alerts, compared with what stands elsewhere."""

import re
from pathlib import Path

import yaml

from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics

REPOSITORY = Path(__file__).parents[3]
RULES = yaml.safe_load((REPOSITORY / "charts" / "files" / "rules.yaml").read_text())["groups"][0]["rules"]


def test_every_alert_is_documented_where_it_says() -> None:
    document = (REPOSITORY / "docs" / "alerts.md").read_text()
    assert re.findall(r"(?m)^## (\w+)$", document) == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_the_alerts_look_at_metrics_that_the_operator_or_the_metrics_api_has() -> None:
    metrics = OperatorMetrics()
    metrics.watch_queue(lambda: 0, lambda: 0, lambda: 0)
    families = [*metrics.registry.collect(), *ServerMetrics().registry.collect()]
    there = {sample for family in families for sample in (family.name, f"{family.name}_total")}
    asked = {name for rule in RULES for name in re.findall(r"\bhca_\w+", rule["expr"])}
    assert asked <= there
