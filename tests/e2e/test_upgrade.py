"""What becomes of a running API while its operator is upgraded, rolled back, removed and installed again: nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.workloads import CHART, NAMESPACE, RELEASE
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, answers
from tests.e2e.load import OpenLoopLoad, Report
from tests.e2e.previous import previous_operator

pytestmark = pytest.mark.alone

WAIT = ("--wait", "--timeout=2m")
ONE = "--set=replicas=1"
"""Quicker: what an upgrade does to APIs does not depend on how many stand by."""
ELSEWHERE = "hca-elsewhere"
API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 50m, memory: 96Mi}}, limits: {{cpu: "1", memory: 256Mi}}}}
  autoscaling: {{minReplicas: 2, maxReplicas: 2}}
  traffic: {{ingress: {{className: contour}}, routes: [{{host: {name}.localhost}}]}}
"""


@pytest.fixture
def release(cluster: Cluster) -> Iterator[None]:
    """The release that every other test finds is put back, whatever happens to it."""
    cluster.kubectl("delete", "namespace", ELSEWHERE, "--ignore-not-found")  # of a run before that is still going
    yield
    remove_elsewhere(cluster)
    cluster.install_operator()


def remove_elsewhere(cluster: Cluster) -> None:
    """And its Lease, which would hold back the next install until it has run out."""
    cluster.helm("uninstall", ELSEWHERE, "--namespace", ELSEWHERE, "--ignore-not-found", *WAIT)
    cluster.kubectl("delete", "lease", ELSEWHERE, "--namespace", ELSEWHERE, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", ELSEWHERE, "--ignore-not-found", "--wait=false")


@pytest.fixture
def name(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """Name of an API that is deleted after the test."""
    name = "upgraded" if "upgrade" in request.node.name else "reinstalled"
    yield name
    cluster.kubectl("delete", "hcapi", name, "--ignore-not-found", "--wait=false")


def serve(cluster: Cluster, name: str) -> None:
    cluster.apply(API.format(name=name, image=cluster.sample_image))
    cluster.wait_ready(name)
    cluster.until(lambda: answers(name), "the ingress serves the API")


@contextmanager
def undisturbed(cluster: Cluster, name: str) -> Iterator[None]:
    """An API that answers every request and keeps its object and its pods until the end of the block."""
    before = identities(cluster, name)
    load = OpenLoopLoad(INGRESS, f"{name}.localhost", rate=10, path="/products")
    with load.running():
        yield
    assert identities(cluster, name) == before
    assert load.report.sent
    assert Report(load.report.failures()) == Report()


def identities(cluster: Cluster, name: str) -> dict[str, int]:
    """Uids of the object and of its pods, with the restarts of each."""
    found = {cluster.get("hcapi", name)["metadata"]["uid"]: 0}
    for pod in cluster.objects("pods", f"hca-operator.io/api={name}"):
        found[pod["metadata"]["uid"]] = sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
    return found


def looks_after(cluster: Cluster, name: str) -> None:
    """Have the operator that is there now repair a child. An edit of the object would let waiting rollouts begin."""
    before = cluster.get("pdb", name)["spec"]["maxUnavailable"]
    cluster.patch("pdb", name, {"spec": {"maxUnavailable": 7}})
    cluster.until(lambda: cluster.get("pdb", name)["spec"]["maxUnavailable"] == before, "the child is repaired")


def rolls_out(cluster: Cluster, name: str) -> None:
    """Have the operator that is there now carry out a change of the pods, and wait until they are Ready."""
    cluster.patch("hcapi", name, {"spec": {"podLabels": {"example.com/changed": "true"}}})
    cluster.wait_ready(name)
    changed = cluster.objects("pods", f"hca-operator.io/api={name},example.com/changed=true")
    assert len([pod for pod in changed if "deletionTimestamp" not in pod["metadata"]]) == 2


@pytest.mark.usefixtures("release")
def test_fault_35_upgrade_and_rollback_restart_no_pod(cluster: Cluster, name: str, tmp_path: Path) -> None:
    previous = previous_operator(cluster, tmp_path)
    # Pods that are meant to change do so a few at a time; here, when the test says so.
    held = () if previous.same_pods else ("--set=unaskedRollouts=0",)
    to = (RELEASE, "--namespace", NAMESPACE, *WAIT)
    cluster.helm("upgrade", *to, previous.chart, "--reset-values", ONE, *previous.values)
    serve(cluster, name)
    with undisturbed(cluster, name):
        cluster.helm("upgrade", *to, CHART, "--reset-values", ONE, *held)
        looks_after(cluster, name)
        cluster.helm("rollback", *to)
        looks_after(cluster, name)
    cluster.install_operator()
    rolls_out(cluster, name)


@pytest.mark.usefixtures("release")
def test_fault_35_uninstall_and_reinstall_leave_every_api_as_it_is(cluster: Cluster, name: str) -> None:
    here, elsewhere = (RELEASE, "--namespace", NAMESPACE), (ELSEWHERE, "--namespace", ELSEWHERE)
    serve(cluster, name)
    with undisturbed(cluster, name):
        cluster.helm("uninstall", *here, *WAIT)
        cluster.helm("install", *here, CHART, ONE, *WAIT)
        looks_after(cluster, name)
        cluster.helm("uninstall", *here, *WAIT)
        with pytest.raises(AssertionError, match="invalid ownership metadata"):
            cluster.helm("install", *elsewhere, CHART, ONE, "--create-namespace", *WAIT)
        cluster.helm("upgrade", "--install", *elsewhere, CHART, ONE, "--create-namespace", "--take-ownership", *WAIT)
        looks_after(cluster, name)
        remove_elsewhere(cluster)
        cluster.install_operator()
        looks_after(cluster, name)
    rolls_out(cluster, name)
