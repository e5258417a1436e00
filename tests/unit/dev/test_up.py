"""Where each program comes from: Go is asked for only where something must be built."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dev import cache, path, tools, up
from dev.go import Tool
from dev.node_image import Choice
from dev.steps import ClusterError, Step, Steps
from dev.up import Run

STOCK = Choice("kindest/node:v1", own=False, exists=True)
OWN = Choice("hca-node:1", own=True, exists=False)


@dataclass
class Machine:
    """What a run did on a machine of a test, and what that machine has."""

    on_path: set[str] = field(default_factory=set)
    in_registry: bool = True
    copied: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)

    def find(self, tool: Tool) -> Path | None:
        return Path("/usr/bin") / tool.name if tool.name in self.on_path else None

    def copy(self, _step: Step, tool: Tool) -> bool:
        if self.in_registry:
            self.copied.append(tool.name)
        return self.in_registry

    def build(self, _step: Step, go: Path, tool: Tool) -> None:
        assert go == Path("/usr/bin/go")
        self.built.append(tool.name)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(cache, "HOME", tmp_path)
    monkeypatch.setattr(cache, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(path, "FOLDER", tmp_path / "programs")
    monkeypatch.setattr(path, "find", made.find)
    monkeypatch.setattr("dev.released.copy", made.copy)
    monkeypatch.setattr("dev.go.build", made.build)
    monkeypatch.setattr("dev.go.on_machine", lambda: Path("/usr/bin/go"))
    monkeypatch.setattr("dev.debian.ensure", lambda *_, **__: None)
    monkeypatch.setattr("dev.python.create_environment", lambda _: None)
    return made


def run(choice: Choice | None, *wanted: Tool) -> None:
    choosing: Future[Choice] = Future()
    if choice:
        choosing.set_result(choice)
    with Steps() as steps:
        Run(steps).start_programs(*wanted, choosing=choosing if choice else None)
        steps.join()


@pytest.mark.parametrize(
    ("has", "choice", "copied", "built"),
    [
        pytest.param(({"kubectl", "kind", "helm"}, True), STOCK, {"control-plane", "etcd"}, set(), id="a laptop"),
        pytest.param(
            (set(), True), STOCK, {"kubectl", "control-plane", "etcd"}, {"kind", "helm"}, id="a registry alone"
        ),
        pytest.param(
            ({"helm"}, False), STOCK, set(), {"kubectl", "kind", "control-plane", "etcd"}, id="a registry without them"
        ),
        pytest.param(({"kubectl"}, True), OWN, set(), {"kind", "helm", "control-plane", "etcd"}, id="no registry"),
        pytest.param((set(), True), None, set(), {"kubectl", "kind", "helm", "control-plane", "etcd"}, id="no docker"),
    ],
)
def test_a_program_comes_from_the_machine_else_an_image_else_go(
    machine: Machine, has: tuple[set[str], bool], choice: Choice | None, copied: set[str], built: set[str]
) -> None:
    machine.on_path, machine.in_registry = has
    run(choice, *tools.DEVELOPER, *tools.CONTROL_PLANE)
    assert (set(machine.copied), set(machine.built)) == (copied, built)
    for tool in tools.DEVELOPER:
        leads_to = Path("/usr/bin") / tool.name if tool.name in machine.on_path else tool.built
        assert tool.program().readlink() == leads_to


def test_what_was_built_before_is_used_before_the_machine_s_own(machine: Machine) -> None:
    machine.on_path = {"kubectl"}
    tools.KUBECTL.built.parent.mkdir(parents=True)
    tools.KUBECTL.built.touch()
    run(STOCK, tools.KUBECTL)
    assert tools.KUBECTL.program().readlink() == tools.KUBECTL.built
    assert (machine.copied, machine.built) == ([], [])


FAILURE = "long work: `docker build` failed; the whole log is x.log\n  | unexpected EOF"
DIED = (
    "Docker ended in the middle of the work: run the same command again, which starts Docker and removes what is half "
    "made (long work: `docker build` failed; the whole log is x.log)"
)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("answers", "sentence"), [(True, FAILURE), (False, DIED)])
def test_an_engine_that_ended_is_named_as_the_cause(
    monkeypatch: pytest.MonkeyPatch, answers: bool, sentence: str
) -> None:
    monkeypatch.setattr("dev.preflight.refuse_small_disk", lambda _: None)
    monkeypatch.setattr("dev.host.docker_folder", lambda _: Path("/var/lib/docker"))
    monkeypatch.setattr("dev.daemon.decide", lambda _: None)
    monkeypatch.setattr("dev.daemon.ensure", lambda _: None)
    monkeypatch.setattr("dev.daemon.answers", lambda _: answers)

    def fail(_: Step) -> None:
        raise ClusterError(FAILURE)

    def work() -> None:
        with up.engine_run() as started:
            started.steps.start("long work", fail, after=[started.docker])

    with pytest.raises(ClusterError) as failure:
        work()
    assert str(failure.value) == sentence
