"""Apps that nobody wrote for this project, each under its own server, from images that know nothing of the operator."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.cache import REPOSITORY
from dev.steps import Step
from dev.workloads import OwnImage
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import pods, served
from tests.e2e.processes import worker_processes

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
  availability: {{terminationGracePeriod: 5s}}
  traffic:
    ingress: {{className: contour}}
    routes: [{{host: {name}.localhost}}]
"""


@pytest.fixture(scope="module")
def image_of(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Builds the image for a server and puts it on every node; both cost nothing where it is there already."""

    def build(server: str) -> str:
        folder = IMAGES / server
        context = REPOSITORY / "workers" / "node" if server == HCA_NODE else folder
        image = OwnImage(f"hca-test-{server}:1", folder / "Dockerfile", context)
        image.build(Step(f"image {server}", tmp_path_factory.mktemp(server) / "build.log"), own_base=True)
        cluster.load_image(image.name)
        return image.name

    return build


@pytest.fixture
def name(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """Name of an API that is deleted after the test."""
    name = f"{request.node.callspec.id}-server" if hasattr(request.node, "callspec") else "one-per-pod"
    yield name
    cluster.kubectl("delete", "hcapi", name, "--ignore-not-found", "--wait=false")


@pytest.mark.timeout(900)  # an image that is not there yet takes minutes
@pytest.mark.parametrize(
    ("server", "path", "workers"),
    [
        pytest.param("Gunicorn", "/get", 2, id="gunicorn"),
        pytest.param("Uvicorn", "/-/versions.json", 2, id="uvicorn"),
        pytest.param("Node", "/", 2, id="node"),
        pytest.param("Generic", "/", 0, id="generic"),  # a program without workers is its only process
    ],
)
def test_an_image_that_knows_only_its_server_gets_workers_port_and_traffic(
    cluster: Cluster, image_of: Callable[[str], str], name: str, *, server: str, path: str, workers: int
) -> None:
    wanted = f"{{server: {server}}}"
    cluster.apply(API.format(name=name, image=image_of(server.lower()), workers=wanted, path=path, replicas=1))
    cluster.wait_ready(name)
    (pod,) = pods(cluster, name)
    cluster.until(lambda: len(worker_processes(cluster, pod)) == workers, f"there are {workers} workers")
    assert cluster.get("hcapi", name)["status"]["workersPerPod"] == 2
    cluster.until(lambda: served(name, path).status_code == 200, "the ingress serves it")
    assert_confined(cluster, pod)


@pytest.mark.timeout(900)
def test_a_server_of_one_process_gets_pods_of_its_own(
    cluster: Cluster, image_of: Callable[[str], str], name: str
) -> None:
    wanted = "{server: Node, placement: OnePerPod}"
    plain = API.format(name=name, image=image_of("node"), workers=wanted, path="/", replicas=2)
    cluster.apply(f"{plain}  command: [http-server]\n")
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


@pytest.mark.timeout(900)
@pytest.mark.parametrize("server", [HCA_NODE])
def test_workers_of_node_write_their_heaps_down_on_request_and_others_take_their_place(
    cluster: Cluster, image_of: Callable[[str], str], name: str, server: str
) -> None:
    plain = API.format(name=name, image=image_of(server), workers="{server: Node}", path="/", replicas=1)
    plain = plain.replace("Period: 5s", "Period: 40s")  # it is written in the time that a worker has to go
    cluster.apply(f"{plain}  memoryRestart: {{heapSnapshots: {{mode: Enabled, sizeLimit: 256Mi}}}}\n")
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
