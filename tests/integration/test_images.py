"""What the set-up takes from images and modules of others is there as it expects it, with a real Docker."""

import os
import re
import socket
from pathlib import Path

import pytest

from dev import cache, kind, modules, node_image, released, tools
from dev.go import Tool
from dev.steps import ClusterError, Step
from tests.integration import debian_base

TOOL = Tool("shell", "example.org/shell", "v1.0.0", ("",))


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step("step", tmp_path / "step.log")


@pytest.fixture
def image(step: Step) -> str:
    return debian_base.have(step, node_image.SLIM_BASE)


def test_the_pinned_node_image_is_the_one_that_kind_names(step: Step) -> None:
    folder = "pkg/apis/config/defaults"
    source = modules.fetch(step, tools.KIND.module, tools.KIND.version, folder) / folder / "image.go"
    assert re.findall(r'const Image = "([^"]+)"', source.read_text()) == [node_image.STOCK_IMAGE]


def test_programs_are_copied_out_of_an_image(
    step: Step, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "HOME", tmp_path)
    monkeypatch.setitem(released.SOURCES, TOOL, {"sh": (image, "/bin/sh")})
    assert released.copy(step, TOOL)
    program = TOOL.folder / "sh"
    assert program.read_bytes().startswith(b"\x7fELF")
    assert os.access(program, os.X_OK)


def test_an_image_that_no_registry_has_leaves_nothing(
    step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "HOME", tmp_path)
    monkeypatch.setitem(released.SOURCES, TOOL, {"sh": ("localhost:9/no-such-image:1", "/bin/sh")})
    assert not released.copy(step, TOOL)
    assert not TOOL.folder.exists()


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("io.x-k8s.kind.cluster=other", "by the kind cluster `other`: run `kind delete cluster --name other`"),
        ("a=b", "by the container `{name}`: run `docker stop {name}`"),
    ],
)
def test_a_port_of_another_container_is_refused_by_its_name(
    step: Step, image: str, monkeypatch: pytest.MonkeyPatch, label: str, sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setattr(kind, "PORTS", (port,))
    kind.refuse_taken_ports(step)
    name = f"hca-test-port-{port}"
    options = ("--detach", "--rm", "--name", name, "--label", label, "--publish", f"127.0.0.1:{port}:80")
    step.run("docker", "run", *options, image, "sleep", "60")
    try:
        with pytest.raises(ClusterError) as refusal:
            kind.refuse_taken_ports(step)
    finally:
        step.run("docker", "rm", "--force", name)
    expected = f"port {port} of 127.0.0.1 is taken {sentence.format(name=name)}, then try again"
    assert str(refusal.value) == expected
