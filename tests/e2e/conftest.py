import fcntl
from collections.abc import Iterator, Sequence

import pytest

from dev import cache, kind, tools, up, workloads
from dev.steps import Step
from tests.e2e import invariants
from tests.e2e.cluster import Cluster
from tests.machine import machine


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The local cluster with the operator as the working tree has it; brought up where it is not."""
    with machine(tmp_path_factory, fcntl.LOCK_EX):
        up.bring_up(example=False)
        yield _cluster(tmp_path_factory)


def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    log = tmp_path_factory.mktemp("cluster") / "load.log"

    def image(step: Step, name: str) -> kind.Image:
        return kind.Image(name, step.read("docker", "image", "inspect", "--format", "{{.Id}}", name))

    def load_images(names: Sequence[str]) -> None:
        step = Step("load", log)
        kind.load(step, [image(step, name) for name in names])

    def install_operator() -> None:
        step = Step("operator", log)
        workloads.install_operator(step, image(step, workloads.OPERATOR_IMAGE.name))

    return Cluster(
        kubectl_program=tools.KUBECTL.program(),
        helm_program=tools.HELM.program(),
        kubeconfig=cache.KUBECONFIG,
        sample_image=workloads.SAMPLE_IMAGE.name,
        load_images=load_images,
        install_operator=install_operator,
    )


@pytest.fixture(scope="session", autouse=True)
def nothing_untoward(cluster: Cluster) -> Iterator[None]:
    """What the tests themselves do not look at is looked at when they are over."""
    start = invariants.begin(cluster)
    yield
    try:
        assert not invariants.broken_since(start, cluster)
    finally:
        invariants.end(cluster)
