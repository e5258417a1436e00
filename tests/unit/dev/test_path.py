"""A developer's own kubectl, helm and kind are used where they fit."""

from pathlib import Path

import pytest

from dev import cache, node_image, path, tools, versions
from dev.path import PathTool


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "HOME", tmp_path / "home")
    monkeypatch.setattr(path, "FOLDER", tmp_path / "home" / "programs")


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on the path."""
    folder = tmp_path / "laptop"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def put(program: Path, prints: str, code: int = 0) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("prints", "found"),
    [
        ("Client Version: v1.36.3\nKustomize Version: v5.8.1", (1, 36, 3)),
        ("v3.22.0+g1234567", (3, 22, 0)),
        ("kind v0.33.0 go1.26.6 linux/amd64", (0, 33, 0)),
        ("no such command", ()),
    ],
)
def test_a_program_s_version_is_the_first_that_it_prints(prints: str, found: tuple[int, ...]) -> None:
    assert path.version(prints) == found


@pytest.mark.parametrize(
    ("tool", "prints", "code", "used"),
    [
        (tools.KUBECTL, "Client Version: v1.37.1", 0, True),
        (tools.KUBECTL, "Client Version: v1.36.0", 0, True),
        (tools.KUBECTL, "Client Version: v1.35.9", 0, False),  # two minors from a cluster of 1.37
        (tools.KUBECTL, "Client Version: v1.38.0", 0, False),
        (tools.KUBECTL, "Client Version: v1.36.0", 1, False),  # it failed
        (tools.HELM, "v3.17.0+g1", 0, True),
        (tools.HELM, "v3.16.4+g1", 0, False),
        (tools.HELM, "v4.0.0+g1", 0, False),
        (tools.KIND, "kind v0.33.9 go1.26", 0, True),
        (tools.KIND, "kind v0.34.0 go1.26", 0, False),
        (tools.KIND, "broken", 0, False),
    ],
)
def test_a_program_on_the_path_is_used_if_its_version_fits(
    laptop: Path, tool: PathTool, prints: str, code: int, used: bool
) -> None:
    program = put(laptop / tool.name, prints, code)
    assert path.find(tool) == (program if used else None)


def test_what_would_be_built_fits_too() -> None:
    for tool in tools.DEVELOPER:
        oldest, newer = versions.FITTING[tool.name]
        assert oldest <= path.version(tool.version) < newer


def test_kubectl_fits_the_clusters_of_both_node_images() -> None:
    kubernetes = path.version(f"v{versions.KUBERNETES}")[1], path.version(node_image.STOCK_IMAGE)[1]
    (_, oldest), (_, newer) = versions.FITTING["kubectl"]
    assert [minor for minor in range(oldest, newer) if any(abs(minor - other) > 1 for other in kubernetes)] == []


def test_a_link_is_ready_while_what_it_leads_to_fits(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not path.ready(tools.KIND)
    program = put(laptop / "kind", "kind v0.33.0")
    path.link(tools.KIND, program)
    assert path.ready(tools.KIND)
    put(program, "kind v0.40.0")
    assert not path.ready(tools.KIND)  # upgraded
    program.unlink()
    assert not path.ready(tools.KIND)  # removed
    path.link(tools.KIND, put(tools.KIND.built, "built here"))
    assert path.ready(tools.KIND)
    monkeypatch.setattr(cache, "key", lambda *_: "another")
    assert not path.ready(tools.KIND)  # built from another version


def test_the_link_itself_is_not_taken_for_the_machine_s_own(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.link(tools.KIND, put(laptop / "elsewhere" / "kind", "kind v0.33.0"))
    monkeypatch.setenv("PATH", f"{path.FOLDER}:{laptop}")
    assert path.find(tools.KIND) is None
