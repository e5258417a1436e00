import fcntl
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest

from dev import cache, kind, tools, up, workloads
from dev.steps import Step
from tests.e2e import invariants
from tests.e2e.cluster import Cluster
from tests.machine import Turn, folder_of_the_run, machine

TURN = Turn(cache.HOME / "turn")
HERE = Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Let tests run beside each other, but for those that need the whole cluster."""
    if not item.path.is_relative_to(HERE):  # pytest asks this for every test
        return (yield)
    TURN.take(alone=item.get_closest_marker("alone") is not None)
    try:
        return (yield)
    finally:
        TURN.give_up()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The local cluster with the operator as the working tree has it; brought up where it is not."""
    brought_up = folder_of_the_run(tmp_path_factory) / "brought-up"
    with machine(tmp_path_factory, fcntl.LOCK_EX):  # the control planes have ended then
        if not brought_up.exists():
            up.bring_up(example=False)
            brought_up.touch()
    return _cluster(tmp_path_factory)


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
def nothing_untoward(cluster: Cluster, worker_id: str) -> Iterator[None]:
    """What the tests themselves do not look at is looked at when those of a process are over."""
    start = invariants.begin(cluster, f"bystander-{worker_id}")
    yield
    TURN.take(alone=True)  # what other tests are about to change might look broken
    try:
        assert not invariants.broken_since(start, cluster)
    finally:
        invariants.end(start, cluster)
