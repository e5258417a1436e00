"""The rights that the chart gives are those that the operator uses: none is missing, and none is there for nothing.

Judged by the API server's audit log of one full life of an object, lived with the rights of the chart alone.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dev import tools
from dev.control_plane import ControlPlane
from dev.workloads import CHART, RELEASE
from hca_operator.core.names import REPLACED_LABEL
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.conftest import temporary_namespace
from tests.controlplane.fake_kubelet import report
from tests.controlplane.fake_metrics import FakeMetrics
from tests.controlplane.journey import EDITS, Journey
from tests.controlplane.objects import children, conditions, lease, pod_of_operator
from tests.controlplane.operator_process import OperatorProcess

Right = tuple[str, str, str]
"""Group, resource and verb."""


SOURCES: Manifest = {"envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]}


@dataclass(frozen=True)
class Account:
    """The operator's service account, as an install makes it."""

    name: str
    options: list[str]
    given: set[Right]


INSTALLS: dict[str, list[str]] = {
    "cluster": [],
    "namespace": ["--set=scope=Namespace"],
    "cluster with secrets": ["--set=rbac.watchSecrets=true"],
    "namespace with secrets": ["--set=scope=Namespace", "--set=rbac.watchSecrets=true"],
}
"""Values of the chart."""
OPTIONS_WITH_RIGHTS = {"--own-namespace-only", "--watch-secrets", "--external-metrics"}


BURSTS: set[Right] = {("external.metrics.k8s.io", "signals", "list"), ("apps", "deployments/scale", "update")}
"""For jumps of the load, which take a metrics API: test_bursts.py."""


@contextmanager
def installed(control_plane: ControlPlane, namespace: str, values: Sequence[str] = ()) -> Iterator[Account]:
    """An account with what the chart gives it."""

    def rendered(template: str) -> str:
        return subprocess.run(
            [tools.HELM.program(), "template", RELEASE, CHART, "--namespace", namespace, "--kube-version=1.36.0",
             "--set=externalMetrics.enabled=true", f"--show-only=templates/{template}.yaml", *values],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    roles = rendered("rbac")
    control_plane.kubectl("apply", "-f", "-", stdin=roles)
    given = rights(list(yaml.safe_load_all(roles)), namespace)
    (container,) = yaml.safe_load(rendered("deployment"))["spec"]["template"]["spec"]["containers"]
    options = [option for option in container["args"] if option.split("=")[0] in OPTIONS_WITH_RIGHTS]
    yield Account(f"system:serviceaccount:{namespace}:{RELEASE}", options, given)
    control_plane.kubectl("delete", "-f", "-", stdin=roles)


@pytest.fixture(params=list(INSTALLS.values()), ids=list(INSTALLS))
def account(
    request: pytest.FixtureRequest, server: ApiServer, control_plane: ControlPlane, namespace: str
) -> Iterator[Account]:
    """The account of each install."""
    del server  # the CRD must be there first
    with installed(control_plane, namespace, request.param) as made:
        yield made


@pytest.fixture
def stranger(server: ApiServer) -> Iterator[None]:
    """A Lease in another namespace, of which an install for the cluster asks who holds it."""
    with temporary_namespace(server) as elsewhere:
        pod_of_operator(server, elsewhere, "stranger", "stranger")
        server.create(lease(elsewhere, "stranger"))
        yield


def rights(manifests: list[Manifest], namespace: str, name: str = RELEASE) -> set[Right]:
    """What the roles allow that are bound to the account."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    bound = [manifest["roleRef"] for manifest in manifests if subject in manifest.get("subjects", [])]
    names = {(role["kind"], role["name"]) for role in bound}
    return {
        (group, resource, verb)
        for role in manifests
        if (role["kind"], role["metadata"]["name"]) in names
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def requests(control_plane: ControlPlane, account: Account) -> list[Manifest]:
    """What the account has asked for, apart from what every account may: which kinds there are."""
    entries = control_plane.audited(account.name)
    return [entry for entry in entries if entry["user"]["username"] == account.name and "objectRef" in entry]


def needed(request: Manifest) -> set[Right]:
    """The rights without which it would have been refused: an apply that creates needs both."""
    reference = request["objectRef"]
    resource = "/".join(reference[part] for part in ("resource", "subresource") if part in reference)
    verbs = [request["verb"]]
    if request["responseStatus"]["code"] == 201:
        verbs.append("create")
    return {(reference.get("apiGroup", ""), resource, verb) for verb in verbs}


@pytest.mark.long
@pytest.mark.usefixtures("stranger")
def test_the_rights_of_the_chart_are_those_that_are_used(
    control_plane: ControlPlane, server: ApiServer, namespace: str, account: Account, tmp_path: Path
) -> None:
    kubeconfig = control_plane.kubeconfig_for(account.name)

    def operator(name: str, policy: str) -> OperatorProcess:
        """With a log of its own."""
        file = tmp_path / f"{name}.yaml"
        file.write_text(policy)
        options = ["--policy", str(file), *account.options]
        return OperatorProcess(kubeconfig, tmp_path / name, lease_namespace=namespace, options=options)

    def used() -> set[Right]:
        return set().union(*(needed(request) for request in requests(control_plane, account)))

    server.create({"kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace}})
    server.create({"kind": "Secret", "metadata": {"name": "keys", "namespace": namespace}})
    journey = Journey(control_plane, server, namespace, "shop")
    with FakeMetrics(server) as metrics, operator("isolating", "{}"):
        journey.begin()
        eventually(lambda: conditions(server, namespace))
        journey.edit({"memoryRestart": {"samples": 1}})
        journey.serve()
        metrics.fill(server.find("Pod", namespace)[0])
        eventually(lambda: server.find("Pod", namespace, labelSelector=REPLACED_LABEL))
        journey.replaced()
        for pod in server.find("Pod", namespace):
            report(server, pod, {"state": {"running": {}}})  # but not ready: the kubelet's events may say why
        eventually(lambda: ("", "events", "list") in used())
        for edit in (*EDITS, SOURCES):
            journey.edit(edit)
            journey.settle()
        made = children(server, namespace)
        for kind, name in made:  # what is missing is asked for before it is made again
            server.delete(kind, namespace, name)
        eventually(lambda: children(server, namespace).keys() == made.keys(), within=30)
    with operator("open", "networkPolicy: {enabled: false}"):
        eventually(lambda: not server.find("NetworkPolicy", namespace))
        journey.end()

    refused = [entry for entry in requests(control_plane, account) if entry["responseStatus"]["code"] == 403]
    # Other tests end beside this one: no client may write into their namespaces any more.
    assert [entry for entry in refused if "is being terminated" not in entry["responseStatus"]["message"]] == []
    assert used() == account.given - BURSTS
