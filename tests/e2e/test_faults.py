"""What users do wrong and what breaks, on the real cluster: reported in plain words, and healed by the fix alone."""

import json
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.e2e.cluster import Cluster

API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 50m, memory: 96Mi}}, limits: {{cpu: "1", memory: 256Mi}}}}
  autoscaling: {{minReplicas: 1, maxReplicas: 2}}
  availability: {{terminationGracePeriod: 5s}}
"""


@pytest.fixture(scope="module")
def small_api(cluster: Cluster) -> Iterator[str]:
    """A small API, for one test after the other."""
    name = "small"
    cluster.apply(API.format(name=name, image=cluster.sample_image))
    yield name
    cluster.kubectl("delete", "hcapi", name, "--ignore-not-found", "--wait=false")


@pytest.fixture
def api(cluster: Cluster, small_api: str) -> str:
    """The small API as it was made, whatever an earlier test left, and serving."""
    cluster.apply(API.format(name=small_api, image=cluster.sample_image))  # where a test has deleted it
    cluster.until(lambda: replaced(cluster, small_api), "no status is written while it is replaced")
    cluster.wait_ready(small_api)
    return small_api


def replaced(cluster: Cluster, name: str) -> bool:
    """Whether the API is as it was made; not where it has changed since kubectl read it."""
    try:
        cluster.kubectl("replace", "-f", "-", stdin=API.format(name=name, image=cluster.sample_image))
    except AssertionError as error:
        if "the object has been modified" in str(error):
            return False
        raise
    return True


def ready_reason(cluster: Cluster, name: str) -> str:
    condition = cluster.condition("hcapi", name, "Ready")
    generation = cluster.get("hcapi", name)["metadata"]["generation"]
    return str(condition["reason"]) if condition.get("observedGeneration") == generation else "stale"


def test_fault_06_image_that_does_not_exist(cluster: Cluster, api: str) -> None:
    cluster.patch("hcapi", api, {"spec": {"image": "hca-sample-app:absent", "imagePullPolicy": "Never"}})
    cluster.until(lambda: ready_reason(cluster, api) == "ImagePullFailed", "the condition names the image")
    ready = cluster.condition("hcapi", api, "Ready")
    assert "hca-sample-app:absent cannot be pulled" in ready["message"]
    assert "imagePullSecrets" in ready["message"]
    assert cluster.condition("hcapi", api, "Available")["status"] == "True", "the old pod serves"
    cluster.patch("hcapi", api, {"spec": {"image": cluster.sample_image, "imagePullPolicy": None}})
    cluster.wait_ready(api)


def test_fault_05_no_node_for_a_pod(cluster: Cluster, api: str) -> None:
    cluster.patch("hcapi", api, {"spec": {"nodeSelector": {"example.com/nowhere": "true"}}})
    cluster.until(lambda: ready_reason(cluster, api) == "Unschedulable", "the condition says that no node fits")
    assert "no node can take a pod" in cluster.condition("hcapi", api, "Ready")["message"]
    assert cluster.condition("hcapi", api, "Available")["status"] == "True", "the old pod serves"
    cluster.patch("hcapi", api, {"spec": {"nodeSelector": None}})
    cluster.wait_ready(api)


def test_fault_10_secret_that_is_missing(cluster: Cluster, api: str) -> None:
    """The object is right and stays as it is: the Secret alone is what heals it."""
    source = {"secretKeyRef": {"name": api, "key": "token"}}
    cluster.patch("hcapi", api, {"spec": {"env": [{"name": "TOKEN", "valueFrom": source}]}})
    cluster.until(
        lambda: ready_reason(cluster, api) == "CreateContainerConfigError", "the condition says what is missing"
    )
    assert f'secret "{api}" not found' in cluster.condition("hcapi", api, "Ready")["message"]
    assert cluster.condition("hcapi", api, "Available")["status"] == "True", "the old pod serves"
    cluster.kubectl("create", "secret", "generic", api, "--from-literal=token=made-up")
    try:
        cluster.wait_ready(api)
    finally:
        cluster.kubectl("delete", "secret", api)


def test_image_that_runs_as_root(cluster: Cluster, api: str) -> None:
    image = cluster.derived_image(cluster.sample_image, "as-root", "USER root")
    cluster.patch("hcapi", api, {"spec": {"image": image}})
    cluster.until(lambda: ready_reason(cluster, api) == "ImageRunsAsRoot", "the condition names the reason")
    ready = cluster.condition("hcapi", api, "Ready")
    assert "podSecurity.runAsUser" in ready["message"]
    assert cluster.condition("hcapi", api, "Stalled")["status"] == "True"
    assert cluster.condition("hcapi", api, "Available")["status"] == "True", "the old pod serves"
    cluster.patch("hcapi", api, {"spec": {"podSecurity": {"runAsUser": 65532}}})  # what the message proposes
    cluster.wait_ready(api)
    assert cluster.condition("hcapi", api, "Stalled")["status"] == "False"


def test_fault_09_no_readiness_path(cluster: Cluster, api: str) -> None:
    cluster.patch("hcapi", api, {"spec": {"health": {"readinessPath": "/nothing-here"}}})
    cluster.until(lambda: ready_reason(cluster, api) == "ReadinessPathNotFound", "the condition names the path")
    ready = cluster.condition("hcapi", api, "Ready")
    assert "GET /nothing-here on port 8000 answers 404: set spec.health.readinessPath" in ready["message"]
    assert cluster.condition("hcapi", api, "Available")["status"] == "True", "the old pod serves"
    cluster.patch("hcapi", api, {"spec": {"health": {"readinessPath": "/health"}}})
    cluster.wait_ready(api)


def test_fault_36_container_that_takes_more_than_its_memory(cluster: Cluster, api: str) -> None:
    greedy = ["python", "-c", "b'x' * 2**30"]
    cluster.patch("hcapi", api, {"spec": {"command": greedy}})
    cluster.until(lambda: ready_reason(cluster, api) == "OutOfMemory", "the condition says what happened")
    assert "spec.resources.limits.memory, now 256Mi" in cluster.condition("hcapi", api, "Ready")["message"]
    assert cluster.condition("hcapi", api, "Available")["status"] == "True", "the old pod serves"
    cluster.patch("hcapi", api, {"spec": {"command": None}})
    cluster.wait_ready(api)


def test_fault_27_foreign_deployment(cluster: Cluster) -> None:
    name = "foreign-deployment"
    cluster.kubectl("create", "deployment", name, f"--image={cluster.sample_image}", "--replicas=0")
    before = cluster.get("deployment", name)
    cluster.apply(API.format(name=name, image=cluster.sample_image))
    try:
        cluster.until(lambda: ready_reason(cluster, name) == "ResourceConflict", "the conflict is reported")
        assert f"Deployment {name} exists" in cluster.condition("hcapi", name, "Ready")["message"]
        after = cluster.get("deployment", name)
        assert (after["metadata"]["generation"], after["spec"]) == (before["metadata"]["generation"], before["spec"])
        cluster.kubectl("delete", "deployment", name)
        cluster.wait_ready(name)
    finally:
        cluster.kubectl("delete", "hcapi", name)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("port: eighty", "spec.port"),
        ("port: 70000", "spec.port"),
        ("replica: 3", "unknown field"),
        ("autoscaling: {minReplicas: 5, maxReplicas: 2}", "minReplicas must not be greater than maxReplicas"),
        ("resources: {limits: {memory: 512m}}", "did you mean 512Mi?"),
        ("resources: {limits: {cpu: fast}}", "must be a CPU quantity"),
        ("env: [{name: GRANIAN_WORKERS, value: '4'}]", "spec.workers"),
    ],
)
def test_bad_input_is_refused(cluster: Cluster, change: str, complaint: str) -> None:
    manifest = (
        "apiVersion: hca-operator.io/v1alpha1\nkind: HighConcurrencyApi\nmetadata: {name: bad-input}\n"
        f"spec:\n  image: {cluster.sample_image}\n  {change}\n"
    )
    assert complaint in cluster.refused(manifest)
    assert cluster.kubectl("get", "hcapi", "bad-input", "--ignore-not-found") == ""


def test_fault_07_name_too_long_is_refused(cluster: Cluster) -> None:
    assert "at most 52 characters" in cluster.refused(API.format(name="a" * 53, image=cluster.sample_image))


def test_fault_25_child_deleted_or_edited(cluster: Cluster, api: str) -> None:
    cluster.kubectl("annotate", "deployment", api, "example.com/team=shop")
    cluster.kubectl("label", "service", api, "example.com/team=shop")
    cluster.kubectl("set", "image", f"deployment/{api}", "api=hca-sample-app:stomped")
    cluster.kubectl("delete", "service,hpa", api)

    def image() -> str:
        return str(cluster.get("deployment", api)["spec"]["template"]["spec"]["containers"][0]["image"])

    cluster.until(lambda: image() == cluster.sample_image, "the image is back", seconds=10)
    for kind in ("service", "hpa"):
        cluster.until(partial(exists, cluster, kind, api), f"the {kind} is back", seconds=10)
    assert cluster.get("deployment", api)["metadata"]["annotations"]["example.com/team"] == "shop"
    cluster.wait_ready(api)


def gone(cluster: Cluster, kind: str, name: str) -> bool:
    return not exists(cluster, kind, name)


def exists(cluster: Cluster, kind: str, name: str) -> bool:
    return cluster.kubectl("get", kind, name, "--ignore-not-found") != ""


@pytest.fixture
def operator_down(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """The operator is scaled to nothing; calling the fixture's value brings it back, as does the end of the test."""
    operator = ("deployment/hca-operator", "--namespace", "hca-system")

    def back() -> None:
        cluster.kubectl("scale", *operator, "--replicas=2")
        cluster.kubectl("rollout", "status", *operator, "--timeout=120s")

    cluster.kubectl("scale", *operator, "--replicas=0")
    cluster.until(
        lambda: not cluster.objects("pods", "app.kubernetes.io/name=hca-operator", "hca-system"), "the operator is gone"
    )
    yield back
    back()


@pytest.mark.alone
def test_fault_22_operator_is_down(cluster: Cluster, api: str, operator_down: Callable[[], None]) -> None:
    """Created, changed and deleted meanwhile: deletion needs no operator, and the rest converges on start."""
    created, deleted = "operator-is-down-created", "operator-is-down-deleted"
    cluster.apply(API.format(name=created, image=cluster.sample_image))
    cluster.apply(API.format(name=deleted, image=cluster.sample_image))
    cluster.patch("hcapi", api, {"spec": {"service": {"port": 8081}}})
    cluster.kubectl("delete", "hcapi", deleted, "--timeout=20s")
    operator_down()
    try:
        cluster.wait_ready(created)
        cluster.until(lambda: cluster.get("service", api)["spec"]["ports"][0]["port"] == 8081, "the change is made")
        assert not exists(cluster, "deployment", deleted)
    finally:
        cluster.kubectl("delete", "hcapi", created)


@pytest.mark.alone
def test_fault_22_deletion_without_operator(cluster: Cluster, api: str, operator_down: Callable[[], None]) -> None:  # noqa: ARG001
    cluster.kubectl("delete", "hcapi", api, "--timeout=20s")
    for kind in ("deployment", "service", "hpa", "pdb"):
        cluster.until(partial(gone, cluster, kind, api), f"the {kind} is collected")


@pytest.mark.alone
def test_fault_21_operator_killed_in_the_middle(cluster: Cluster) -> None:
    """Killed again and again while objects come in: everything is there in the end, once."""
    names = [f"killed-{number}" for number in range(4)]
    for name in names:
        cluster.apply(API.format(name=name, image=cluster.sample_image))
        cluster.kubectl(
            "delete", "pods", "--selector=app.kubernetes.io/name=hca-operator", "--namespace=hca-system",
            "--grace-period=0", "--force", "--wait=false",
        )  # fmt: skip
    try:
        for name in names:
            cluster.wait_ready(name, seconds=180)
    finally:
        cluster.kubectl("delete", "hcapi", *names)


def test_helm_test(cluster: Cluster) -> None:
    assert "Succeeded" in cluster.helm("test", "hca-operator", "--namespace", "hca-system")


@pytest.mark.alone
def test_steady_state_writes_nothing(cluster: Cluster, api: str) -> None:
    """Looked at again, an unchanged object costs reads only."""

    def versions() -> dict[str, str]:
        kinds = "hcapi,deployments,services,pdb,ingress"
        items = json.loads(cluster.kubectl("get", kinds, "--output=json"))["items"]
        return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["resourceVersion"] for o in items}

    cluster.restart_operator()
    before = versions()
    cluster.restart_operator()  # a start looks at everything
    cluster.kubectl("annotate", "hcapi", api, "example.com/look=again")
    after = versions()
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {f"HighConcurrencyApi/{api}"}
    ours = [e for e in cluster.managed_fields("hcapi", api) if e["manager"].startswith("hca-operator")]
    assert {e.get("subresource") for e in ours} == {"status"}, "nothing but the status is written on the object"
