"""A developer's own kubectl, helm and kind are used where they fit."""

from pathlib import Path

import pytest

from dev import cache, path, tools


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
    ("prints", "code", "used"),
    [("kind v0.33.9 go1.26", 0, True), ("kind v0.33.9 go1.26", 1, False), ("kind v0.34.0 go1.26", 0, False)],
)
def test_a_program_on_the_path_is_used_if_it_runs_and_its_version_fits(
    laptop: Path, prints: str, code: int, used: bool
) -> None:
    program = put(laptop / "kind", prints, code)
    assert path.find(tools.KIND) == (program if used else None)


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


def test_one_that_does_not_fit_hides_none_that_does(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(laptop / "old" / "kind", "kind v0.20.0")
    program = put(laptop / "new" / "kind", "kind v0.33.0")
    monkeypatch.setenv("PATH", f"{laptop}/old:{laptop}/new:/usr/bin:/bin")
    assert path.find(tools.KIND) == program


@pytest.mark.parametrize("entry", ["", ".", "bin"])
def test_a_relative_entry_of_the_path_is_passed_by(entry: str, laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(laptop / entry / "kind", "kind v0.33.0")
    monkeypatch.chdir(laptop)
    monkeypatch.setenv("PATH", f"{entry}:/usr/bin:/bin")
    assert path.find(tools.KIND) is None


@pytest.mark.parametrize("odd", ["file", "folder"])
def test_what_is_no_link_is_replaced_by_one(odd: str, laptop: Path) -> None:
    program = tools.KIND.program()
    put(program / "inside" if odd == "folder" else program, "kind v0.33.0")
    assert not path.ready(tools.KIND)
    path.link(tools.KIND, put(laptop / "kind", "kind v0.33.0"))
    assert path.ready(tools.KIND)
