"""What the operator costs and how fast it is, on the local cluster."""

import re
import time
from collections.abc import Iterator
from statistics import median, quantiles

import pytest
import yaml

from hca_operator.desired.metadata import MANAGED_SELECTOR
from tests.bench.record import record
from tests.bench.sightings import KINDS, Sightings
from tests.controlplane.api_server import ApiServer
from tests.controlplane.objects import CHILDREN
from tests.e2e.cluster import Cluster

COMMAND = "make bench"
OBJECTS = 40
QUIET = 600.0

API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}, namespace: default, labels: {{bench: reconcile}}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 1m, memory: 32Mi}}}}
  nodeSelector: {{example.com/nowhere: "true"}}
  traffic: {{routes: [{{host: {name}.localhost}}]}}
"""


@pytest.fixture
def objects(cluster: Cluster) -> Iterator[list[float]]:
    """Objects whose pods fit on no node; the value: seconds from each one's creation until its children exist."""
    with ApiServer(cluster.kubeconfig) as server, Sightings(cluster.kubeconfig, KINDS, MANAGED_SELECTOR) as sightings:
        yield [seconds_to_complete(server, sightings, f"bench-{number}", cluster) for number in range(OBJECTS)]
    cluster.kubectl("delete", "hcapi", "--selector=bench=reconcile")


def seconds_to_complete(server: ApiServer, sightings: Sightings, name: str, cluster: Cluster) -> float:
    manifest = yaml.safe_load(API.format(name=name, image=cluster.sample_image))
    began = time.monotonic()
    server.create(manifest)
    return sightings.complete_at(name) - began


def leader(cluster: Cluster) -> str:
    """The operator's pod that writes."""
    return str(cluster.get("lease", "hca-operator", "hca-system")["spec"]["holderIdentity"])


def writes(cluster: Cluster) -> float:
    """Mutating requests of the operator so far, renewals of its Lease apart."""
    pod = f"/api/v1/namespaces/hca-system/pods/{leader(cluster)}:8080/proxy/metrics"
    found = re.findall(r"hca_api_requests_total\{([^}]*)\} (\S+)", cluster.kubectl("get", "--raw", pod))
    return sum(float(count) for labels, count in found if 'verb="GET"' not in labels and 'kind="Lease"' not in labels)


def resident_mebibytes(cluster: Cluster) -> float:
    status = cluster.kubectl(
        "exec", "--namespace=hca-system", leader(cluster), "--", "python3", "-c",
        "print(open('/proc/1/status').read())",
    )  # fmt: skip
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def settle(cluster: Cluster) -> None:
    """Wait until the controllers have said all they have to say about the new objects."""
    last, since = writes(cluster), time.monotonic()
    while time.monotonic() - since < 45:
        time.sleep(1)
        if (now := writes(cluster)) != last:
            last, since = now, time.monotonic()


@pytest.mark.timeout(1800)
def test_reconcile(cluster: Cluster, objects: list[float]) -> None:
    settle(cluster)
    before = writes(cluster)
    time.sleep(QUIET)  # the quiet itself is what is measured
    written = writes(cluster) - before
    record(
        "The operator alone",
        COMMAND,
        ("figure", "measured", "goal"),
        [
            (
                f"object created -> all {len(CHILDREN)} children exist, {OBJECTS} objects one by one, p50 / p95",
                f"{median(objects):.2f} s / {quantiles(objects, n=20)[18]:.2f} s",
                "p95 <= 1 s",
            ),
            (
                f"mutating requests in {QUIET / 60:.0f} minutes with {OBJECTS} objects that do not change",
                f"{written:.0f}",
                "0",
            ),
            ("resident memory", f"{resident_mebibytes(cluster):.0f} MiB", "<= 100 MiB"),
        ],
    )
    assert written == 0
