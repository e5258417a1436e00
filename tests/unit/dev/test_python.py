"""When the Python environment is made anew."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import cache, python
from dev.steps import Argument, Step


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that is as it should be."""
    folder = tmp_path / ".venv"
    monkeypatch.setattr(python, "ENVIRONMENT", folder)
    monkeypatch.setattr(python, "PYTHON", folder / "bin" / "python")
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\n")
    (folder / "bin" / "python").chmod(0o755)
    (folder / "made-from").write_text(cache.key(python.LOCK.read_text(), sys.version))
    return folder


@pytest.fixture
def commands(environment: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that were run to have it anew."""
    ran: list[str] = []

    def run(_: Step, _program: Argument, _dash_m: str, module: str, *_arguments: Argument) -> None:
        ran.append(module)
        if module == "venv":
            assert not environment.is_symlink()
            assert not environment.exists()
            environment.mkdir()

    monkeypatch.setattr(Step, "run", run)
    return ran


def no_program(environment: Path) -> None:
    (environment / "bin" / "python").unlink()


def not_executable(environment: Path) -> None:
    (environment / "bin" / "python").chmod(0o644)


def dangling(environment: Path) -> None:
    no_program(environment)
    (environment / "bin" / "python").symlink_to("/no/such/python")


def broken(environment: Path) -> None:
    (environment / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")


def of_another_lock(environment: Path) -> None:
    (environment / "made-from").write_text("another")


def half_made(environment: Path) -> None:
    (environment / "made-from").unlink()


def odd_stamp(environment: Path) -> None:
    half_made(environment)
    (environment / "made-from").mkdir()


def a_file(environment: Path) -> None:
    shutil.rmtree(environment)
    environment.touch()


def a_dangling_link(environment: Path) -> None:
    shutil.rmtree(environment)
    environment.symlink_to("/no/such/environment")


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (lambda _: None, []),
        (of_another_lock, ["pip"]),
        (half_made, ["pip"]),
        (odd_stamp, ["pip"]),
        (no_program, ["venv", "pip"]),
        (not_executable, ["venv", "pip"]),
        (dangling, ["venv", "pip"]),
        (broken, ["venv", "pip"]),
        (a_file, ["venv", "pip"]),
        (a_dangling_link, ["venv", "pip"]),
    ],
)
def test_an_environment_that_is_not_as_it_should_be_is_made_so(
    happens: Callable[[Path], None], expected: list[str], environment: Path, commands: list[str], tmp_path: Path
) -> None:
    happens(environment)
    python.create_environment(Step("python", tmp_path / "log"))
    assert commands == expected
    assert (environment / "made-from").read_text() == cache.key(python.LOCK.read_text(), sys.version)
