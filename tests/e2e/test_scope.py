"""Two installs in one cluster: one for a namespace of its own, with the rights of a Role, and one for all others."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from dev.workloads import CHART, NAMESPACE, RELEASE
from hca_operator.kube.leader_election import CENSUS_SECONDS, RETRY_PERIOD_SECONDS
from tests.e2e.cluster import Cluster

pytestmark = pytest.mark.alone

TEAM = "hca-team"
"""The release and its namespace."""
API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: ours, namespace: {namespace}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 50m, memory: 96Mi}}, limits: {{cpu: "1", memory: 256Mi}}}}
  autoscaling: {{minReplicas: 1, maxReplicas: 1}}
  availability: {{terminationGracePeriod: 5s}}
"""


@pytest.fixture
def team(cluster: Cluster) -> Iterator[str]:
    """Namespace with an install of its own, which makes no NetworkPolicies: so it is seen whose work a child is."""
    cluster.kubectl("delete", "namespace", TEAM, "--ignore-not-found")  # of a run before that is still going
    cluster.helm(
        "install", TEAM, CHART, "--namespace", TEAM, "--create-namespace", "--wait", "--timeout=2m",
        "--set=scope=Namespace,crds.enabled=false,replicas=1,apis.networkPolicy.enabled=false",
    )  # fmt: skip
    yield TEAM
    cluster.helm("uninstall", TEAM, "--namespace", TEAM, "--ignore-not-found", "--wait", "--timeout=2m")
    cluster.kubectl("delete", "namespace", TEAM, "--wait=false")


def renewed(cluster: Cluster, name: str, namespace: str) -> datetime:
    """When an install renewed its Lease last."""
    return datetime.fromisoformat(cluster.get("lease", name, namespace)["spec"]["renewTime"])


def isolated(cluster: Cluster, namespace: str) -> bool:
    """Whether the API has the NetworkPolicy that only the install for the cluster makes."""
    return bool(cluster.objects("networkpolicies", "hca-operator.io/api=ours", namespace))


def look_at(cluster: Cluster, namespace: str, most: int) -> None:
    """Change the object, and wait until an install has carried it out."""
    change = json.dumps({"spec": {"availability": {"maxUnavailable": most}}})
    cluster.kubectl("patch", "hcapi", "ours", "--namespace", namespace, "--type=merge", "--patch", change)
    cluster.until(
        lambda: cluster.get("pdb", "ours", namespace)["spec"]["maxUnavailable"] == most, "the change reaches a child"
    )


def pods(cluster: Cluster, namespace: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.objects("pods", "hca-operator.io/api=ours", namespace)}


def test_an_install_for_one_namespace_has_it_to_itself_until_it_goes(cluster: Cluster, team: str) -> None:
    labels = f"app.kubernetes.io/instance={team}"
    assert cluster.kubectl("get", "clusterroles,clusterrolebindings", "--selector", labels, "--output=name") == ""
    cluster.until(lambda: bool(cluster.get("lease", team, team)["spec"].get("holderIdentity")), "the team's leads")
    # The other one sees it at its next census, at the latest with the first renewal after that.
    seen = renewed(cluster, RELEASE, NAMESPACE) + timedelta(seconds=CENSUS_SECONDS + 2 * RETRY_PERIOD_SECONDS)
    cluster.until(lambda: renewed(cluster, RELEASE, NAMESPACE) > seen, "the cluster's install has looked around")

    cluster.apply(API.format(namespace=team, image=cluster.sample_image))
    cluster.kubectl("wait", "--for=condition=Ready", "hcapi/ours", "--namespace", team, "--timeout=120s")
    look_at(cluster, team, 2)
    assert not isolated(cluster, team)
    events = json.loads(cluster.kubectl("get", "events", "--namespace", team, "--output=json"))["items"]
    shown = {event["reportingInstance"] for event in events if event["involvedObject"]["kind"] == "HighConcurrencyApi"}
    assert shown == {cluster.get("lease", team, team)["spec"]["holderIdentity"]}, "no other install writes here"

    before = pods(cluster, team)
    cluster.helm("uninstall", team, "--namespace", team, "--wait", "--timeout=2m")
    cluster.until(lambda: isolated(cluster, team), "the cluster's install takes the namespace back")
    look_at(cluster, team, 3)
    assert pods(cluster, team) == before
