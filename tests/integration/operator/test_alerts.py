"""The alerts, judged by Prometheus' own tool."""

import subprocess
from pathlib import Path

import pytest
import yaml

from dev.programs import program

REPOSITORY = Path(__file__).parents[3]
FILE = REPOSITORY / "charts" / "files" / "rules.yaml"
LAST_RESTART = 'hca_memory_last_restart_timestamp_seconds{namespace="shops", name="shop", instance="%s"}'
NOT_READY = 'hca_conditions{namespace="shops", name="%s", type="Ready", status="False", instance="%s"}'
FAILED = 'hca_reconciles_total{result="failed"}'
INTERNAL = 'hca_internal_errors_total{work="reconcile"}'
WELL = {
    # Two restarts, exported by two replicas of the operator one after the other.
    LAST_RESTART % "a": "1000x20 2000x20 _x80",
    LAST_RESTART % "b": "_x41 2000x79",
    NOT_READY % ("cart", "a"): "_x30 1x10 _x79",
    'hca_conditions{namespace="shops", name="cart", type="Ready", status="True", instance="a"}': "1x30 _x10 1x79",
    'hca_conditions{namespace="shops", name="cart", type="MemoryHealthy", status="False", instance="a"}': "1x120",
    'hca_reconciles_total{result="written"}': "0+5x120",
    FAILED: "3x120",
    INTERNAL: "1x120",
    "hca_queue_depth": "7x50 _x3 0x66",
}
"""What is measured, a sample a minute for two hours, for which no alert is due."""


def firing(folder: Path, series: dict[str, str], *expected: str) -> None:
    """Have promtool look which alerts fire after an hour."""
    samples = [{"labels": f"ALERTS{{alertstate='firing', {labels}}}", "value": 1} for labels in expected]
    look = {"expr": "ALERTS{alertstate='firing'}", "eval_time": "1h", "exp_samples": samples}
    given = [{"series": name, "values": values} for name, values in series.items()]
    tests = [{"interval": "1m", "input_series": given, "promql_expr_test": [look]}]
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", file)


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules_as_they_are() -> None:
    promtool("check", "rules", FILE)


def test_no_alert_fires_for_what_passes_by_itself(tmp_path: Path) -> None:
    firing(tmp_path, WELL)


@pytest.mark.parametrize(
    ("alert", "series", "labels"),
    [
        (
            "HcaMemoryRestartLoop",
            {LAST_RESTART % "a": "1000x30 2000x10 3000x10 4000x69", LAST_RESTART % "b": "_x120"},
            "severity='warning', namespace='shops', name='shop'",
        ),
        (
            "HcaApisNotReady",
            # Another replica becomes the leader meanwhile.
            {NOT_READY % ("shop", "a"): "_x40 1x9 _x70", NOT_READY % ("shop", "b"): "_x50 1x69"},
            "severity='warning', namespace='shops', name='shop'",
        ),
        ("HcaReconcileFails", {FAILED: "3x30 4+1x89"}, "severity='warning'"),
        ("HcaInternalError", {INTERNAL: "0x40 1x79"}, "severity='warning', work='reconcile'"),
        ("HcaOperatorAbsent", {"hca_queue_depth": "7x40"}, "severity='critical'"),
    ],
)
def test_each_alert_fires_on_its_trouble_alone(tmp_path: Path, alert: str, series: dict[str, str], labels: str) -> None:
    firing(tmp_path, WELL | series, f"alertname='{alert}', {labels}")
