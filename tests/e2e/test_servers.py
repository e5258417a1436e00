"""Apps that were not written for this project, each with its own server, from images without a part of the operator."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.cache import REPOSITORY
from dev.steps import Step
from dev.workloads import OwnImage
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import pods, served
from tests.e2e.processes import worker_processes

pytestmark = [
    pytest.mark.usefixtures("servers"),
    pytest.mark.timeout(900),  # an image that is not there yet takes minutes
]
IMAGES = Path(__file__).with_name("servers")
HCA_NODE = "hca-node"
API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  workers: {workers}
  resources: {{requests: {{cpu: 50m, memory: 128Mi}}, limits: {{cpu: "2", memory: 384Mi}}}}
  health: {{readinessPath: {path}}}
  autoscaling: {{minReplicas: {replicas}, maxReplicas: 2}}
  availability: {{terminationGracePeriod: {grace}}}
  traffic:
    ingress: {{className: contour}}
    routes: [{{host: {name}.localhost}}]
"""


@dataclass(frozen=True)
class Server:
    """An API, by its image and by what its object says of it."""

    image: str
    """A folder of Dockerfiles."""
    path: str
    workers: str
    replicas: int = 1
    more: str = ""
    grace: str = "5s"


SERVERS = {
    "gunicorn": Server("gunicorn", "/get", "{server: Gunicorn}"),
    "uvicorn": Server("uvicorn", "/-/versions.json", "{server: Uvicorn}"),
    "node": Server("node", "/", "{server: Node}"),
    "generic": Server("generic", "/", "{server: Generic}"),
    "one-per-pod": Server(
        "node", "/", "{server: Node, placement: OnePerPod}", replicas=2, more="  command: [http-server]\n"
    ),
    "hca-node": Server(
        "hca-node",
        "/",
        "{server: Node}",
        more="  memoryRestart: {heapSnapshots: {mode: Enabled, sizeLimit: 256Mi}}\n",
        grace="120s",  # a heap is written in the time that a worker has to go
    ),
}
"""By the API's name."""


@pytest.fixture(scope="module")
def servers(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All of them, which start beside each other; an image that is there already costs nothing."""
    images = {}
    for server in {each.image for each in SERVERS.values()}:
        folder = IMAGES / server
        context = REPOSITORY / "workers" / "node" if server == HCA_NODE else folder
        image = OwnImage(f"hca-test-{server}:1", folder / "Dockerfile", context)
        image.build(Step(f"image {server}", tmp_path_factory.mktemp(server) / "build.log"), own_base=True)
        images[server] = image.name
    cluster.load_images(list(images.values()))
    for name, each in SERVERS.items():
        fields = {"image": images[each.image], "workers": each.workers, "path": each.path}
        cluster.apply(API.format(name=name, replicas=each.replicas, grace=each.grace, **fields) + each.more)
    yield
    cluster.kubectl("delete", "hcapi", *SERVERS, "--wait=false")


# A program without workers is its only process.
@pytest.mark.parametrize(("name", "workers"), [("gunicorn", 2), ("uvicorn", 2), ("node", 2), ("generic", 0)])
def test_an_image_that_knows_only_its_server_gets_workers_port_and_traffic(
    cluster: Cluster, name: str, workers: int
) -> None:
    cluster.wait_ready(name)
    (pod,) = pods(cluster, name)
    cluster.until(lambda: len(worker_processes(cluster, pod)) == workers, f"there are {workers} workers")
    assert cluster.get("hcapi", name)["status"]["workersPerPod"] == 2
    cluster.until(lambda: served(name, SERVERS[name].path).status_code == 200, "the ingress serves it")
    assert_confined(cluster, pod)


def test_a_server_of_one_process_gets_pods_of_its_own(cluster: Cluster) -> None:
    name = "one-per-pod"
    cluster.wait_ready(name)
    assert len(pods(cluster, name)) == 2
    for pod in pods(cluster, name):
        (container,) = cluster.get("pod", pod)["spec"]["containers"]
        assert container["resources"] == {
            "requests": {"cpu": "25m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "192Mi"},
        }
        assert worker_processes(cluster, pod) == []
        assert_confined(cluster, pod)
    assert cluster.get("hcapi", name)["status"]["workersPerPod"] == 1
    cluster.until(lambda: served(name, "/").status_code == 200, "the ingress serves it")


def test_workers_of_node_write_their_heaps_down_on_request_and_others_take_their_place(cluster: Cluster) -> None:
    name = HCA_NODE
    cluster.wait_ready(name)
    (pod,) = pods(cluster, name)
    cluster.until(lambda: len(worker_processes(cluster, pod)) == 2, "there are 2 workers")
    before = worker_processes(cluster, pod)
    cluster.kubectl("exec", pod, "--", "touch", "/heap-snapshots/request")

    def written() -> list[str]:
        names = cluster.kubectl("exec", pod, "--", "ls", "/heap-snapshots").split()
        return [name for name in names if name.endswith(".heapsnapshot")]

    cluster.until(lambda: len(written()) == 2, "each has written its heap")
    newest = cluster.kubectl("exec", pod, "--", "cat", f"/heap-snapshots/{max(written())}")
    assert json.loads(newest)["snapshot"]["node_count"] > 1000
    after = worker_processes(cluster, pod)
    assert (len(after), set(after) & set(before)) == (2, set())
    assert cluster.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"] == 0
    cluster.until(lambda: served(name, "/").status_code == 200, "the ingress serves it")


def assert_confined(cluster: Cluster, pod: str) -> None:
    """The server runs, and neither as root nor on files that it can write."""
    identity, *mounts = cluster.kubectl("exec", pod, "--", "sh", "-c", "id -u; cat /proc/mounts").splitlines()
    assert identity == "65532"
    options = next(mount.split()[3] for mount in mounts if mount.split()[1] == "/")
    assert "ro" in options.split(",")
