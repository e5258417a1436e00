from pathlib import Path
from typing import Any

import pytest
import yaml

from hca_operator.cli import main
from hca_operator.metrics_server import process
from hca_operator.metrics_server.ingress.reader import IngressPods
from hca_operator.telemetry import logs
from tests.unit.operator.objects import manifest

REPOSITORY = Path(__file__).parents[3]


def shown(tmp_path: Path, *objects: object) -> str:
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


@pytest.mark.parametrize("example", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid_without_unknown_fields(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "-f", str(example)]) == 0
    assert {"Deployment", "Service"} <= {child["kind"] for child in yaml.safe_load_all(capsys.readouterr().out)}


def test_every_object_of_a_file_is_rendered_and_others_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = manifest()
    second["metadata"]["name"] = "cart"
    path = shown(tmp_path, {"apiVersion": "v1", "kind": "Namespace"}, None, manifest(), second)
    assert main(["render", "-f", path]) == 0
    children = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [child["metadata"]["name"] for child in children if child["kind"] == "Deployment"] == ["shop", "cart"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"replica": 3}, "spec.replica: "),
        ({"autoscaling": {"min_replicas": 3}}, "spec.autoscaling.min_replicas: "),
        ({"traffic": {"routes": [{"host": "a.example.com", "pathtype": "Exact"}]}}, "spec.traffic.routes.0.pathtype: "),
        ({"port": 0}, "spec.port: "),
        ({"workers": {"count": 64}}, "spec.resources.limits.memory: 512Mi is too small for 64 workers"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_with_the_field(
    fields: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "-f", shown(tmp_path, manifest(**fields))]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a" * 53, "1shop", "Shop", "shop-", "shop.v2", 7, None])
def test_a_name_that_no_service_can_have_is_refused(
    name: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = manifest()
    named["metadata"]["name"] = name
    assert main(["render", "-f", shown(tmp_path, named)]) == 1
    assert "metadata.name must be at most 52 characters: lower-case letters" in capsys.readouterr().err


def test_another_version_of_the_api_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shown(tmp_path, manifest() | {"apiVersion": "hca-operator.io/v9"})
    assert main(["render", "-f", path]) == 1
    assert "apiVersion: must be hca-operator.io/v1alpha1, not hca-operator.io/v9" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "kind: Namespace", "- kind: HighConcurrencyApi"])
def test_a_file_without_an_object_says_so(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    assert main(["render", "-f", str(path)]) == 1
    assert "no object of kind HighConcurrencyApi found" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"a: [", b"\xff\xfe\x00"], ids=["absent", "no YAML", "no text"])
def test_a_file_that_cannot_be_read_is_one_sentence(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "objects.yaml"
    if content is not None:
        path.write_bytes(content)
    assert main(["render", "-f", str(path)]) == 1
    assert f"cannot read {path}" in capsys.readouterr().err


def policy(tmp_path: Path, text: str) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return str(path)


def test_what_is_rendered_keeps_the_policy_of_an_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = policy(tmp_path, "{defaults: {nodeSelector: {disktype: ssd}}, networkPolicy: {enabled: false}}")
    assert main(["render", "-f", shown(tmp_path, manifest()), "--policy", given]) == 0
    children = {child["kind"]: child for child in yaml.safe_load_all(capsys.readouterr().out)}
    assert children["Deployment"]["spec"]["template"]["spec"]["nodeSelector"] == {"disktype": "ssd"}
    assert "NetworkPolicy" not in children


def test_what_an_install_does_not_allow_is_not_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = policy(tmp_path, "limits: {maxReplicas: 5}")
    assert main(["render", "-f", shown(tmp_path, manifest()), "--policy", given]) == 1
    assert "objects.yaml: spec.autoscaling.maxReplicas: 10 is more than the 5" in capsys.readouterr().err


def test_a_wrong_policy_is_distinguished_from_a_wrong_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = policy(tmp_path, "limit: {}")
    assert main(["render", "-f", shown(tmp_path, manifest()), "--policy", given]) == 1
    assert capsys.readouterr().err == f"{given}: apis.limit: unknown field, misspelt or in the wrong place\n"


def test_the_metrics_api_gets_its_settings_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[process.Settings] = []

    async def run(settings: process.Settings) -> None:
        reported.append(settings)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(logs, "log_json", lambda _level: None)
    assert main(["metrics", "--namespace=sys", "--name=hca-metrics"]) == 0
    envoys = ["--ingress-namespace=edge", "--ingress-selector=app=edge,tier=public", "--ingress-port=19001"]
    assert main(["metrics", "--namespace=sys", "--name=hca-metrics", *envoys]) == 0
    place = IngressPods("edge", "app=edge,tier=public", 19001, "/stats/prometheus")
    assert reported == [
        process.Settings("sys", "hca-metrics", port=8443, telemetry_port=8080),
        process.Settings("sys", "hca-metrics", port=8443, telemetry_port=8080, ingress=place),
    ]


RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
QUEUE = {"name": "queue", "type": "Prometheus", "prometheus": {"query": "sum(queue)", "targetPerPod": "100"}}
INGRESS = {"monitoring": {"source": "Ingress"}, "traffic": {"routes": [{"host": "shop.example.com"}]}}


@pytest.mark.parametrize(
    ("fields", "flags", "metric"),
    [
        ({"autoscaling": {"metrics": [RATE]}}, [], "hca-requests-per-second"),
        ({"autoscaling": {"metrics": [RATE]}}, ["--no-external-metrics"], "cpu"),
        ({"autoscaling": {"metrics": [RATE]}, **INGRESS}, [], "cpu"),
        ({"autoscaling": {"metrics": [RATE]}, **INGRESS}, ["--reads-ingress"], "hca-requests-per-second"),
        ({"autoscaling": {"metrics": [QUEUE]}}, [], "cpu"),
        ({"autoscaling": {"metrics": [QUEUE]}}, ["--custom-queries"], "hca-prometheus"),
    ],
)
def test_metrics_that_the_install_does_not_serve_are_rendered_as_the_operator_replaces_them(
    fields: dict[str, Any], flags: list[str], metric: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "-f", shown(tmp_path, manifest(**fields)), *flags]) == 0
    children = {child["kind"]: child for child in yaml.safe_load_all(capsys.readouterr().out)}
    (shown_metric,) = children["HorizontalPodAutoscaler"]["spec"]["metrics"]
    if metric == "cpu":
        target = {"type": "Utilization", "averageUtilization": 70}
        resource = {"name": "cpu", "container": "api", "target": target}
        assert shown_metric == {"type": "ContainerResource", "containerResource": resource}
    else:
        assert shown_metric["external"]["metric"]["name"] == metric
