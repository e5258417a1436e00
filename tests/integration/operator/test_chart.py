"""The chart as Helm renders it: what its values come to, also where they are absent."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import tools
from dev.cache import REPOSITORY

CHART = REPOSITORY / "charts"
METRICS = "externalMetrics.enabled=true"
Object = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tools.HELM.program()), "template", "hca", str(CHART), "--kube-version=1.36.0", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def render(*values: str, file: Path | None = None) -> list[Object]:
    files = [f"--values={file}"] if file else []
    done = helm(*files, *(f"--set={value}" for value in values))
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if manifest]


def of_kind(manifests: list[Object], kind: str) -> dict[str, Object]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: list[Object]) -> dict[str, Object]:
    return {name: each["spec"]["template"]["spec"] for name, each in of_kind(manifests, "Deployment").items()}


def test_without_accounts_of_the_chart_both_run_as_the_one_that_is_named() -> None:
    made = render(METRICS, "serviceAccount.create=false", "serviceAccount.name=ours")
    assert not of_kind(made, "ServiceAccount")
    assert {pod["serviceAccountName"] for pod in pods(made).values()} == {"ours"}
    bindings = [*of_kind(made, "ClusterRoleBinding").values(), *of_kind(made, "RoleBinding").values()]
    subjects = {subject["name"] for binding in bindings for subject in binding["subjects"]}
    assert subjects == {"ours", "horizontal-pod-autoscaler"}


def test_every_account_of_a_pod_is_there() -> None:
    made = render(METRICS)
    assert {pod["serviceAccountName"] for pod in pods(made).values()} == of_kind(made, "ServiceAccount").keys()


def test_a_section_that_is_absent_is_that_of_the_chart(tmp_path: Path) -> None:
    """As after `helm upgrade --reuse-values` from a release that did not have it."""
    absent = tmp_path / "values.yaml"
    absent.write_text(yaml.safe_dump(dict.fromkeys(yaml.safe_load((CHART / "values.yaml").read_text()))))
    assert render(file=absent) == render()


def test_a_value_that_is_off_or_empty_is_not_taken_for_absent() -> None:
    assert not of_kind(render("rbac.create=false"), "ClusterRole")
    assert not of_kind(render("crds.enabled=false"), "CustomResourceDefinition")
    (operator,) = pods(render("unaskedRollouts=0")).values()
    assert "--unasked-rollouts=0" in operator["containers"][0]["args"]


def test_a_start_that_waits_for_another_install_is_not_restarted() -> None:
    for pod in pods(render(METRICS)).values():
        (container,) = pod["containers"]
        assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("registry", ["mirror.example.com", "mirror.example.com/team/"])
def test_a_registry_for_all_charts_is_that_of_every_image(registry: str) -> None:
    made = render(METRICS, f"global.imageRegistry={registry}", "global.storageClass=of-another-chart")
    images = {pod["containers"][0]["image"].rpartition(":")[0] for pod in pods(made).values()}
    images |= {pod["spec"]["containers"][0]["image"].rpartition(":")[0] for pod in of_kind(made, "Pod").values()}
    assert images == {f"{registry.removesuffix('/')}/hca-operator"}


def test_who_gets_alerts_gets_what_they_are_made_of() -> None:
    assert not of_kind(render(), "ServiceMonitor")
    made = render("alerts.enabled=true", "alerts.labels.release=prom")
    monitor, service = of_kind(made, "ServiceMonitor")["hca"], of_kind(made, "Service")["hca"]
    assert monitor["metadata"]["labels"]["release"] == "prom"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert not of_kind(render("alerts.enabled=true", "alerts.serviceMonitor=false"), "ServiceMonitor")


def test_the_cluster_s_one_metrics_api_is_taken_only_where_that_is_said() -> None:
    assert pods(render()).keys() == {"hca"}
    assert pods(render(METRICS)).keys() == {"hca", "hca-metrics"}
    (operator,) = pods(render()).values()
    assert not [argument for argument in operator["containers"][0]["args"] if "external-metrics" in argument]


def test_no_other_api_service_can_be_made() -> None:
    rules = of_kind(render(METRICS), "ClusterRole")["hca-metrics"]["rules"]
    (rule,) = [rule for rule in rules if "apiservices" in rule["resources"]]
    assert (rule["resourceNames"], set(rule["verbs"])) == (
        ["v1beta1.external.metrics.k8s.io"], {"get", "create", "patch"},
    )  # fmt: skip


def test_the_roles_of_users_stay_as_they_are_where_that_is_said() -> None:
    def aggregated(*values: str) -> set[str]:
        roles = of_kind(render(*values), "ClusterRole").values()
        return {label for role in roles for label in role["metadata"]["labels"] if "aggregate-to" in label}

    assert len(aggregated()) == 3
    assert aggregated("rbac.aggregate=false") == set()


def test_fault_75_no_role_of_users_may_write_the_status_by_which_an_operator_is_known() -> None:
    roles = of_kind(render(METRICS), "ClusterRole").values()
    of_users = [role for role in roles if any("aggregate-to" in label for label in role["metadata"]["labels"])]
    writes = {
        resource
        for role in of_users
        for rule in role["rules"]
        for resource in rule["resources"]
        if set(rule["verbs"]) - {"get", "list", "watch"}
    }
    assert writes == {"highconcurrencyapis", "highconcurrencyapis/scale"}


def test_a_drain_takes_one_replica_of_the_operator_at_a_time() -> None:
    made = render(METRICS)
    budgets, deployments = of_kind(made, "PodDisruptionBudget"), of_kind(made, "Deployment")
    for name, deployment in deployments.items():
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        assert budgets[name]["spec"]["selector"] == deployment["spec"]["selector"]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("resources.limits.memori=1Gi", "memori"),
        ("resources.limit.memory=1Gi", "limit"),
        ("externalMetrics.resources.requests.CPU=1", "CPU"),
        ("affinity.nodeAffinty.a=b", "nodeAffinty"),
        ("tolerations[0].keys=a", "keys"),
        ("image.repository=a b", "repository"),
        ("image.repository=a@sha256", "repository"),
        ("global.imageRegistry=a b", "imageRegistry"),
    ],
)
def test_what_kubernetes_would_not_understand_is_refused_by_name(value: str, complaint: str) -> None:
    done = helm(f"--set={value}")
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    "value",
    ["resources.limits.ephemeral-storage=1Gi", "resources.limits.example\\.com/device=1", "affinity.nodeAffinity.a=b",
     "tolerations[0].operator=Exists", "image.repository=registry.example.com:5000/team/hca-operator"],
)  # fmt: skip
def test_what_kubernetes_understands_is_taken(value: str) -> None:
    assert helm(f"--set={value}").returncode == 0
