"""What the chart installs: as little power as the operator needs, and values that are checked."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from dev.cache import REPOSITORY
from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy, parse_policy
from hca_operator.core.names import API_LABEL
from tests.e2e.cluster import Cluster

Object = dict[str, Any]
READ = {"get", "list", "watch"}

ALLOWED: dict[tuple[str, str], set[str]] = {
    ("hca-operator.io", "highconcurrencyapis"): READ,
    ("hca-operator.io", "highconcurrencyapis/status"): {"patch"},
    ("apps", "deployments"): READ | {"create", "patch"},
    ("apps", "deployments/scale"): {"update"},  # a jump of the load raises the count
    ("external.metrics.k8s.io", "signals"): {"list"},
    ("", "services"): READ | {"create", "patch"},
    ("policy", "poddisruptionbudgets"): READ | {"create", "patch"},
    ("autoscaling", "horizontalpodautoscalers"): READ | {"create", "patch", "delete"},
    ("networking.k8s.io", "ingresses"): READ | {"create", "patch", "delete"},
    ("networking.k8s.io", "networkpolicies"): READ | {"create", "patch", "delete"},
    ("", "pods"): {"list", "patch"},
    ("", "pods/eviction"): {"create"},
    ("apps", "replicasets"): {"list", "create", "delete"},  # of its own for a pod that is being replaced
    ("metrics.k8s.io", "pods"): {"list"},
    ("", "configmaps"): READ,
    ("", "events"): {"list", "create"},
    ("coordination.k8s.io", "leases"): {"list", "get", "update", "create"},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create"},  # about the holders of Leases
    ("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"},
    ("apiregistration.k8s.io", "apiservices"): {"get"},
}
"""Everything that the operator's account may do. More is a decision, not an accident."""
METRICS_ALLOWED: dict[tuple[str, str], set[str]] = {
    ("hca-operator.io", "highconcurrencyapis"): {"list", "watch"},
    ("", "pods"): {"list", "watch"},
    ("", "secrets"): {"get", "update"},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
    ("apiregistration.k8s.io", "apiservices"): {"create", "get", "patch"},  # by its name
    ("rbac.authorization.k8s.io", "clusterroles"): {"get"},
}
"""Everything that the account of the metrics API may do, apart from reading how the API server is known."""


def template(cluster: Cluster, *values: str) -> list[Object]:
    rendered = cluster.run(
        *(cluster.helm_program, "template", "hca", REPOSITORY / "charts", "--kube-version=1.36.0"),
        *("--set=externalMetrics.enabled=true", *values),
    )
    # In C: the definition is long, and every test reads it.
    return [manifest for manifest in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if manifest]


def of_kind(manifests: list[Object], *kinds: str) -> list[Object]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def one(manifests: list[Object], kind: str, name: str = "hca") -> Object:
    """The object of a name, by default that of the operator itself."""
    (found,) = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def rights(manifests: list[Object], account: str = "hca") -> dict[tuple[str, str], set[str]]:
    """What an account may do."""
    assert one(manifests, "ServiceAccount", account)
    bound = {
        binding["roleRef"]["name"]
        for binding in of_kind(manifests, "ClusterRoleBinding", "RoleBinding")
        if any(subject["name"] == account for subject in binding["subjects"])
    }
    given: dict[tuple[str, str], set[str]] = {}
    for role in of_kind(manifests, "ClusterRole", "Role"):
        if role["metadata"]["name"] in bound:
            for rule in role["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        given.setdefault((group, resource), set()).update(rule["verbs"])
    return given


def test_the_operator_may_do_what_it_needs_and_no_more(cluster: Cluster) -> None:
    assert rights(template(cluster)) == ALLOWED


def test_secrets_are_read_only_where_the_install_says_so(cluster: Cluster) -> None:
    given = rights(template(cluster, "--set=rbac.watchSecrets=true"))
    assert given == {**ALLOWED, ("", "secrets"): READ}


def test_an_install_for_one_namespace_has_the_same_rights_there_and_none_elsewhere(cluster: Cluster) -> None:
    manifests = template(cluster, "--set=scope=Namespace", "--namespace=team")
    assert not of_kind(manifests, "ClusterRole", "ClusterRoleBinding")
    assert {role["metadata"]["namespace"] for role in of_kind(manifests, "Role", "RoleBinding")} == {"team"}
    # Of the first two no namespace has any; without a metrics API nothing is known of jumps of the load; and where it
    # looks for another install, only those may write who may end the operator.
    without = {"customresourcedefinitions", "apiservices", "deployments/scale", "signals", "subjectaccessreviews"}
    assert rights(manifests) == {slot: verbs for slot, verbs in ALLOWED.items() if slot[1] not in without}


def test_only_its_own_lease_may_be_changed(cluster: Cluster) -> None:
    changing = [rule for rule in one(template(cluster), "Role")["rules"] if "update" in rule["verbs"]]
    assert [rule["resourceNames"] for rule in changing] == [["hca"]]


def test_the_metrics_api_may_do_what_it_needs_and_no_more(cluster: Cluster) -> None:
    manifests = template(cluster)
    assert rights(manifests, "hca-metrics") == METRICS_ALLOWED
    roles = [one(manifests, kind, "hca-metrics") for kind in ("Role", "ClusterRole")]
    named = {
        rule["resources"][0]: rule["resourceNames"]
        for role in roles
        for rule in role["rules"]
        if "resourceNames" in rule
    }
    assert named == {
        "secrets": ["hca-metrics"],
        "apiservices": ["v1beta1.external.metrics.k8s.io"],
        "clusterroles": ["hca-metrics"],
    }, "one object of each by its name"


def test_autoscalers_may_ask_also_where_a_distribution_trims_their_rights(cluster: Cluster) -> None:
    manifests = template(cluster)
    (rule,) = one(manifests, "ClusterRole", "hca-metrics-reader")["rules"]
    assert rule == {"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}
    (subject,) = one(manifests, "ClusterRoleBinding", "hca-metrics-reader")["subjects"]
    assert (subject["namespace"], subject["name"]) == ("kube-system", "horizontal-pod-autoscaler")


@pytest.mark.parametrize("value", ["externalMetrics.enabled=false", "scope=Namespace"])
def test_without_the_metrics_api_nothing_of_it_is_there(cluster: Cluster, value: str) -> None:
    names = [manifest["metadata"]["name"] for manifest in template(cluster, f"--set={value}")]
    assert not [name for name in names if "metrics" in name]


def test_the_envoys_of_the_ingress_are_named_to_who_reads_them_and_the_operator_knows(cluster: Cluster) -> None:
    def arguments(name: str, *values: str) -> list[str]:
        pod = one(template(cluster, *values), "Deployment", name)["spec"]["template"]["spec"]
        found: list[str] = pod["containers"][0]["args"]
        return [argument for argument in found if "ingress" in argument]

    assert arguments("hca-metrics") == arguments("hca") == []
    place = "--set=externalMetrics.ingress.namespace=edge,externalMetrics.ingress.selector.app=envoy"
    assert arguments("hca-metrics", place) == ["--ingress-namespace=edge", "--ingress-selector=app=envoy"]
    assert arguments("hca", place) == ["--reads-ingress"]
    more = (
        "externalMetrics.ingress.selector.tier=public",
        "externalMetrics.ingress.port=19001",
        "externalMetrics.ingress.path=/stats",
    )
    assert arguments("hca-metrics", place, *(f"--set={value}" for value in more)) == [
        "--ingress-namespace=edge",
        "--ingress-selector=app=envoy,tier=public",
        "--ingress-port=19001",
        "--ingress-path=/stats",
    ]


def test_the_secret_is_empty_and_the_apiservice_is_left_to_the_pods(cluster: Cluster) -> None:
    manifests = template(cluster)
    secret = one(manifests, "Secret", "hca-metrics")
    assert (secret["type"], secret.get("data"), secret.get("stringData")) == ("Opaque", None, None)
    assert not of_kind(manifests, "APIService")


def test_the_metrics_api_is_reached_where_its_pods_listen(cluster: Cluster) -> None:
    manifests = template(cluster)
    pod = one(manifests, "Deployment", "hca-metrics")["spec"]["template"]
    service = one(manifests, "Service", "hca-metrics")["spec"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["name"]: port["port"] for port in service["ports"]} == ports == {"api": 8443, "http": 8080}
    assert one(manifests, "Service")["spec"]["selector"].items() - pod["metadata"]["labels"].items(), "nor the operator"


def test_every_pod_keeps_the_restricted_standard(cluster: Cluster) -> None:
    manifests = template(cluster)
    pods = [deployment["spec"]["template"]["spec"] for deployment in of_kind(manifests, "Deployment")]
    pods += [pod["spec"] for pod in of_kind(manifests, "Pod")]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "runAsUser" not in container["securityContext"], "OpenShift gives the number"


def test_the_crd_is_kept_when_the_release_goes(cluster: Cluster) -> None:
    (crd,) = of_kind(template(cluster), "CustomResourceDefinition")
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not of_kind(template(cluster, "--set=crds.enabled=false"), "CustomResourceDefinition")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("replicas=0", "replicas"),
        ("image.tag=a tag", "tag"),
        ("image.digest=latest", "digest"),
        ("logLevel=loud", "logLevel"),
        ("crds.keep=true", "additional properties 'keep' not allowed"),
        ("apis.limits.maxReplica=5", "additional properties 'maxReplica' not allowed"),
        ("apis.limits.maxReplicas=0", "maxReplicas"),
        ("apis.defaults.podLabels.team=a b", "team"),
        ("apis.networkPolicy.enabled=maybe", "enabled"),
        ("externalMetrics.replicas=0", "replicas"),
        ("externalMetrics.ingress.namespace=edge", "'selector' required"),
        ("externalMetrics.ingress.port=80", "'namespace' required"),
        ("externalMetrics.ingress.url=http://edge", "additional properties 'url' not allowed"),
        ("externalMetrics.enable=true", "additional properties 'enable' not allowed"),
        ("prometheus.url=http://user:word@host", "/prometheus/url"),
        ("prometheus.url=file:///etc/passwd", "/prometheus/url"),
        ("prometheus.url=http://host?query=up", "/prometheus/url"),
        ("prometheus.customQueries=true", "/prometheus/url"),
        ("prometheus.secretName=A_b", "/prometheus/secretName"),
    ],
)
def test_wrong_values_are_refused_by_name(cluster: Cluster, value: str, complaint: str) -> None:
    done = subprocess.run(
        [cluster.helm_program, "template", "hca", REPOSITORY / "charts", "--kube-version=1.36.0", "--set", value],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert complaint in done.stderr


def test_prometheus_is_named_to_the_metrics_api_with_its_secret(cluster: Cluster) -> None:
    values = ["prometheus.url=https://prometheus.example.com/prom", "prometheus.secretName=reader"]
    made = template(cluster, *(f"--set={value}" for value in [*values, "prometheus.customQueries=true"]))
    operator, metrics = (one(made, "Deployment", name)["spec"]["template"]["spec"] for name in ("hca", "hca-metrics"))
    assert "--custom-queries" in operator["containers"][0]["args"]
    assert {
        "--prometheus-url=https://prometheus.example.com/prom", "--prometheus-secret=/etc/hca-prometheus",
        "--custom-queries",
    } <= set(metrics["containers"][0]["args"])  # fmt: skip
    assert metrics["volumes"] == [{"name": "prometheus", "secret": {"secretName": "reader"}}]
    (mount,) = metrics["containers"][0]["volumeMounts"]
    assert mount == {"name": "prometheus", "mountPath": "/etc/hca-prometheus", "readOnly": True}


def test_with_the_addresses_of_the_api_server_no_others_are_reached_but_names_and_the_pods_of_apis(
    cluster: Cluster,
) -> None:
    def egress(name: str, *values: str) -> list[Object]:
        policy = one(template(cluster, "--set=networkPolicy.enabled=true", *values), "NetworkPolicy", name)
        rules: list[Object] = policy["spec"]["egress"]
        return rules

    host, edge = {"ipBlock": {"cidr": "10.0.0.0/28"}}, {"namespace": "edge", "selector": {"app": "envoy"}}
    known = f"--set-json=networkPolicy.apiServer={json.dumps([host])}"
    apis = {
        "namespaceSelector": {},
        "podSelector": {"matchExpressions": [{"key": API_LABEL, "operator": "Exists"}]},
    }
    names = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    # The operator asks them for the memory of their workers, the metrics API for their load.
    assert egress("hca", known) == egress("hca-metrics", known) == [{"to": [host]}, names, {"to": [apis]}]
    assert egress("hca") == egress("hca-metrics") == [{}], "the API server may be anywhere"
    assert egress("hca-metrics", known, "--set=prometheus.url=http://prometheus.monitoring:9090") == [{}]
    assert egress("hca-metrics", known, f"--set-json=externalMetrics.ingress={json.dumps(edge)}") == [{}]


def policy_of(manifests: list[Object]) -> FleetPolicy:
    """What the operator reads at its start: the file that its container mounts where its option says."""
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    (volume,), (container,) = pod["volumes"], pod["containers"]
    (mount,) = container["volumeMounts"]
    (source,) = of_kind(manifests, "ConfigMap")
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert volume["configMap"]["name"] == source["metadata"]["name"]
    ((name, text),) = source["data"].items()
    assert f"--policy={mount['mountPath']}/{name}" in container["args"]
    return parse_policy(text, name)


def test_the_values_for_every_api_reach_the_operator_as_they_are_written(cluster: Cluster) -> None:
    assert policy_of(template(cluster)) == NO_POLICY
    example = REPOSITORY / "examples" / "fleet" / "values.yaml"
    written = yaml.safe_dump(yaml.safe_load(example.read_text())["apis"])
    assert policy_of(template(cluster, f"--values={example}")) == parse_policy(written, "written")
    year = '{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 31536000}'
    for_a_year = policy_of(template(cluster, f"--set-json=apis.defaults.tolerations=[{year}]"))
    assert for_a_year.defaults.tolerations[0].toleration_seconds == 31536000, "a large number stays one"


def test_another_policy_restarts_the_operator_and_the_same_does_not(cluster: Cluster) -> None:
    def annotations(*values: str) -> Object:
        deployment = one(template(cluster, *values), "Deployment")
        found: Object = deployment["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations() == annotations("--set=logLevel=debug") == annotations("--set=apis.networkPolicy.enabled=true")
    assert annotations() != annotations("--set=apis.limits.maxReplicas=5")
    assert annotations("--set=podAnnotations.a=b") == {**annotations(), "a": "b"}


def test_alerts_become_an_object_where_they_are_enabled(cluster: Cluster) -> None:
    assert of_kind(template(cluster), "PrometheusRule") == []
    (rule,) = of_kind(template(cluster, "--set=alerts.enabled=true,alerts.labels.release=prom"), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((REPOSITORY / "charts" / "files" / "rules.yaml").read_text())
    assert rule["metadata"]["labels"]["release"] == "prom"


def test_a_digest_wins_over_the_tag(cluster: Cluster) -> None:
    digest = f"sha256:{'a' * 64}"
    for deployment in of_kind(template(cluster, f"--set=image.digest={digest}"), "Deployment"):
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"hca-operator@{digest}"
