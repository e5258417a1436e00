"""What goes into an image is read there by another user than the one who cloned the repository."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import node_image, tools
from dev.node_image import Component
from dev.steps import Step

ROOT = Path(__file__).parents[3]
DOCKERFILES = [
    ROOT / "operator/Dockerfile",
    ROOT / "sample-app/Dockerfile",
    *sorted((ROOT / "tests/e2e/servers").glob("*/Dockerfile")),
]
READ_BY_ROOT_ALONE = ("/build", "/tmp")  # in a stage that does the building


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_copied_out_of_the_clone_is_made_readable(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    copied = re.findall(r"^COPY (?!--from).* (\S+)$", text, re.MULTILINE)
    readable = re.findall(r"chmod -R a\+rX (\S+)", text)
    inside = [path for path in copied if not path.startswith(READ_BY_ROOT_ALONE)]
    assert [path for path in inside if not any(path.startswith(folder) for folder in readable)] == []


@pytest.mark.usefixtures("umask")
def test_the_programs_of_a_node_are_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[dict[str, str]] = []

    def look(_: Step, *command: str | Path, env: object) -> None:
        assert env
        context = Path(command[-1])
        contexts.append({str(p.relative_to(context)): stat.filemode(p.stat().st_mode) for p in context.rglob("*")})

    monkeypatch.setattr(Step, "run", look)
    program = tmp_path / "coredns"
    program.touch(mode=0o700)
    step = Step("step", tmp_path / "log")
    node_image.build_component(step, Component("r.example/coredns:v1", program, "bin"), tmp_path / "context")
    assert contexts[0] == {"Dockerfile": "-rw-------", "bin": "drwxr-xr-x", "bin/coredns": "-rwxr-xr-x"}


@pytest.mark.usefixtures("umask")
def test_the_files_of_a_node_are_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.cache.HOME", tmp_path / "home")
    for tool in (tools.KUBECTL, *tools.CONTROL_PLANE, *tools.NODE_IMAGE):
        tool.folder.mkdir(parents=True)
        names = {package.rpartition("/")[2] for package in tool.packages} or {tool.name}
        for name in names:
            (tool.folder / name).touch(mode=0o700)
    node_image.copy_programs(tmp_path / "node")
    modes = {path.name: stat.filemode(path.stat().st_mode) for path in (tmp_path / "node").rglob("*")}
    assert modes["etc"] == "drwxr-xr-x"
    assert modes["kubelet"] == modes["containerd"] == modes["entrypoint"] == "-rwxr-xr-x"
    assert modes["version"] == "-rw-r--r--"
